"""A user's ONNX file gives what the user's network gives, or one good sentence."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalens.backbones.embedding import patch_embedding, pooled_embedding
from anomalens.backbones.machine import available
from anomalens.backbones.registry import load_backbone
from anomalens.backbones.runtimes import Runtime, open_session
from anomalens.backbones.user_graph import UserGraph
from anomalens.errors import AnomalensError, BackboneError, SettingError

onnx = pytest.importorskip("onnx")

CARD: dict[str, Any] = {"licence": "MIT", "scaling": "imagenet", "size": 32}


def save(folder: Path, model: Any, **entries: Any) -> Path:
    (folder / "net.onnx").write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    card = {name: value for name, value in {**CARD, **entries}.items() if value is not None}
    (folder / "net.json").write_text(json.dumps(card))
    return folder / "net.onnx"


def export(network: Any, path: Path, *, dynamic: bool = True, size: int = 32) -> bytes:
    torch = pytest.importorskip("torch")
    axes = {0: "n", 2: "h", 3: "w"} if dynamic else None
    with warnings.catch_warnings():
        # torch announces that this exporter, the one that needs no further package, is the old one.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, size, size),),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=["pixels"],
            output_names=["last"],
            dynamic_axes={"pixels": axes} if axes else None,
        )
    return path.read_bytes()


def run(graph: bytes, image: np.ndarray) -> list[np.ndarray]:
    size = (image.shape[2], image.shape[3])
    results = [open_session(graph, runtime=Runtime(name), input_size=size).run(image) for name in available()]
    for one, other in zip(results[0], results[-1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    return results[0]


def small_convnet() -> Any:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 16, 3, stride=2, padding=1),
    ).eval()


def small_token_net() -> Any:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)

    class TokenNet(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.patch = torch.nn.Conv2d(3, 16, 8, stride=8)
            self.first = torch.nn.Parameter(torch.randn(1, 2, 16))
            self.mix = torch.nn.Linear(16, 16)

        def forward(self, image: Any) -> Any:
            tokens = self.patch(image).flatten(2).transpose(1, 2)
            tokens = torch.cat([self.first.expand(tokens.shape[0], -1, -1), tokens], 1)
            weights = torch.softmax(tokens @ tokens.transpose(1, 2), -1)
            return tokens + self.mix(weights @ tokens)

    return TokenNet().eval()


def test_convnet_with_internal_taps(tmp_path: Path, noise: Callable[..., np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    network = small_convnet()
    data = export(network, tmp_path / "net.onnx")
    inner = [node.output[0] for node in onnx.load_from_string(data).graph.node][1]
    taps = [{"name": "early", "tensor": inner, "channels": 8}, {"name": "late", "tensor": "last"}]
    path = save(tmp_path, data, taps=taps, name="mine", source="here")
    backbone = load_backbone(str(path))
    card = backbone.card
    assert (card.name, card.source, card.licence) == ("mine", "here", "MIT")
    assert [(t.name, t.channels, t.stride) for t in card.taps] == [("early", 8, 2), ("late", 16, 8)]
    assert (card.multiple, card.size, card.fixed) == (8, (32, 32), False)
    assert card.mean == (123.675, 116.28, 103.53)
    image = noise(40, 64, 2)
    with torch.no_grad():
        want = [
            network[:2](torch.from_numpy(image)).numpy(),
            network(torch.from_numpy(image)).numpy(),
        ]
    graph = backbone.graph(["late", "early"])
    assert graph == load_backbone(path.with_suffix(".json")).graph(["late", "early"])
    late, early = run(graph, image)
    np.testing.assert_allclose(early, want[0], atol=1e-5)
    np.testing.assert_allclose(late, want[1], atol=1e-5)
    model = onnx.load_from_string(backbone.graph(["early"]))
    onnx.checker.check_model(model, full_check=True)
    assert len(model.graph.initializer) == 2


@pytest.mark.parametrize("dynamic", [True, False])
def test_tokens_become_maps(dynamic: bool, tmp_path: Path, noise: Callable[..., np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    network = small_token_net()
    data = export(network, tmp_path / "net.onnx", dynamic=dynamic)
    tap = {"name": "tokens8", "tensor": "last", "kind": "tokens", "skip": 2}
    backbone = load_backbone(save(tmp_path, data, taps=[tap], size=32 if dynamic else None))
    assert backbone.card.fixed is not dynamic
    assert (backbone.card.taps[0].channels, backbone.card.taps[0].stride) == (16, 8)
    image = noise(32, 48, 2) if dynamic else noise(32, 32, 2)
    with torch.no_grad():
        tokens = network(torch.from_numpy(image)).numpy()[:, 2:]
    want = tokens.transpose(0, 2, 1).reshape(2, 16, 4, -1)
    (got,) = run(backbone.graph(["tokens8"]), image)
    np.testing.assert_allclose(got, want, atol=1e-5)
    size = (image.shape[2], image.shape[3])
    (embedded,) = run(
        patch_embedding(backbone.graph(["tokens8"]), ["tokens8"], size=size, neighbourhood=1), image
    )
    np.testing.assert_allclose(embedded, want.transpose(0, 2, 3, 1), atol=1e-5)
    (pooled,) = run(pooled_embedding(backbone.graph(["tokens8"]), ["tokens8"], ("mean",)), image)
    np.testing.assert_allclose(pooled, want.mean((2, 3)), atol=1e-5)
    if not dynamic:
        with pytest.raises(SettingError, match="32×32 pixels"):
            backbone.card.check_size((64, 64))


def hand_made(
    *,
    shape: tuple[int | str, ...] = ("n", 3, "h", "w"),
    element: int = 1,
    opset: int = 17,
    inputs: int = 1,
    out_type: int = 1,
) -> Any:
    """A 1×1 convolution named as our own nodes are, with an If inside, on NCHW or NHWC input."""
    helper = onnx.helper
    info = helper.make_tensor_value_info
    numbers = np.random.default_rng(0).normal(size=(5, 3, 1, 1)).astype(np.float32)
    channels_last = shape[-1] == 3
    perm = [0, 3, 1, 2] if channels_last else [0, 1, 2, 3]
    branch = helper.make_graph(
        [helper.make_node("Relu", ["image"], ["chosen"])],
        "positive",
        [],
        [info("chosen", element, None)],
    )
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=perm),
        helper.make_node("Conv", ["turned", "weight"], ["image"]),
        helper.make_node("If", ["yes"], ["embedding"], then_branch=branch, else_branch=branch),
        helper.make_node("Cast", ["embedding"], ["other"], to=out_type),
        helper.make_node("ReduceSum", ["embedding", "axes"], ["flat"], keepdims=0),
    ]
    tensors = [
        onnx.numpy_helper.from_array(numbers, "weight"),
        onnx.numpy_helper.from_array(np.array(True), "yes"),
        onnx.numpy_helper.from_array(np.array([2, 3]), "axes"),
    ]
    graph = helper.make_graph(
        nodes,
        "hand",
        [info("x", element, list(shape))] + [info(f"y{i}", 1, [1]) for i in range(inputs - 1)],
        [info("embedding", element, ["n", 5, "h", "w"])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


TAP = {"name": "map", "tensor": "embedding"}


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_layouts_branches_and_names_like_ours(
    layout: str, tmp_path: Path, noise: Callable[..., np.ndarray]
) -> None:
    shape = ("n", 3, "h", "w") if layout == "NCHW" else ("n", "h", "w", 3)
    path = save(tmp_path, hand_made(shape=shape), taps=[TAP], layout=layout, multiple=4)
    backbone = UserGraph.load(path)
    assert backbone.card.multiple == 4
    image = noise(32, 40)
    weight = onnx.numpy_helper.to_array(hand_made().graph.initializer[0])[:, :, 0, 0]
    want = np.maximum(np.einsum("nchw,kc->nkhw", image, weight), 0)
    (got,) = run(backbone.graph(["map"]), image)
    np.testing.assert_allclose(got, want, atol=1e-5)
    (embedded,) = run(
        patch_embedding(backbone.graph(["map"]), ["map"], size=(32, 40), neighbourhood=1), image
    )
    np.testing.assert_allclose(embedded, want.transpose(0, 2, 3, 1), atol=1e-5)


def test_scalings_and_sizes(tmp_path: Path) -> None:
    own = {"mean": [1, 2, 3], "std": [4, 5, 6]}
    for scaling, mean, std in (
        ("0-255", (0.0,) * 3, (1.0,) * 3),
        ("0-1", (0.0,) * 3, (255.0,) * 3),
        ("-1-1", (127.5,) * 3, (127.5,) * 3),
        (own, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
    ):
        path = save(tmp_path, hand_made(), taps=[TAP], scaling=scaling, size=[16, 24])
        card = UserGraph.load(path).card
        assert (card.mean, card.std, card.size) == (mean, std, (16, 24))


ENTRIES: dict[str, tuple[dict[str, Any], str]] = {
    "no licence": ({"licence": None}, 'lacks the entry "licence"'),
    "no taps": ({"taps": []}, "at least one tap"),
    "an unknown entry": ({"taps": [TAP], "inputs": "x"}, "did you mean 'input'"),
    "an unknown tensor": ({"taps": ["embeddin"]}, "did you mean 'embedding'"),
    "an unknown input": ({"taps": [TAP], "input": "xx"}, "input of the graph"),
    "an unknown layout": ({"taps": [TAP], "layout": "NCWH"}, "did you mean 'NCHW'"),
    "an unknown scaling": ({"taps": [TAP], "scaling": "0-2"}, "scaling"),
    "an unknown kind": ({"taps": [{**TAP, "kind": "token"}]}, "did you mean 'tokens'"),
    "wrong channels": ({"taps": [{**TAP, "channels": 6}]}, "has 5 channels, but its card says 6"),
    "wrong stride": ({"taps": [{**TAP, "stride": 8}]}, "correct the stride"),
    "wrong kind": ({"taps": [{**TAP, "kind": "tokens"}]}, "tokens must be"),
    "a flat tap": ({"taps": [{"name": "f", "tensor": "flat"}]}, "map must be"),
    "wrong layout": ({"taps": [TAP], "layout": "NHWC"}, 'set "layout" to "NCHW"'),
    "no size": ({"taps": [TAP], "size": None}, 'add the entry "size"'),
    "a wrong size": ({"taps": [TAP], "size": "big"}, "whole number"),
    "a size of three": ({"taps": [TAP], "size": [1, 2, 3]}, "height, width"),
    "a wrong multiple": ({"taps": [TAP], "multiple": 5}, "must be a multiple of 5"),
    "a zero std": ({"taps": [TAP], "scaling": {"mean": [0] * 3, "std": [0] * 3}}, '"std" must be'),
    "a short mean": ({"taps": [TAP], "scaling": {"mean": [0], "std": [1]}}, "three numbers"),
    "a name of ours": ({"taps": [{**TAP, "name": "embedding"}]}, "cannot be named"),
    "a tap twice": ({"taps": [TAP, TAP]}, "same name"),
    "skip in a map": ({"taps": [{**TAP, "skip": 1}]}, "only tokens"),
    "a number as tap": ({"taps": [3]}, "JSON object"),
    "a number as name": ({"taps": [TAP], "name": 3}, "must be a text"),
    "a huge skip": ({"taps": [{**TAP, "kind": "tokens", "skip": 10**30}]}, "whole number"),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_wrong_cards_are_refused(case: str, tmp_path: Path) -> None:
    entries, reason = ENTRIES[case]
    with pytest.raises(AnomalensError) as caught:
        UserGraph.load(save(tmp_path, hand_made(), **entries))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


GRAPHS: dict[str, tuple[dict[str, Any], str]] = {
    "one channel": ({"shape": ("n", 1, "h", "w")}, "three colours"),
    "channels last": ({"shape": ("n", "h", "w", 3)}, 'set "layout" to "NHWC"'),
    "half precision": ({"element": 10}, "not float32"),
    "an old opset": ({"opset": 9}, "opset"),
    "two inputs": ({"inputs": 2}, "2 inputs"),
    "a fixed batch": ({"shape": (4, 3, "h", "w")}, "exactly 4 images"),
    "another fixed size": ({"shape": ("n", 3, 64, 64)}, "card says 32×32"),
    "three dimensions": ({"shape": (3, "h", "w")}, "four dimensions"),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_unsuitable_graphs_are_refused(case: str, tmp_path: Path) -> None:
    changes, reason = GRAPHS[case]
    with pytest.raises(BackboneError) as caught:
        UserGraph.load(save(tmp_path, hand_made(**changes), taps=[TAP]))
    assert reason in str(caught.value) and "net.onnx" in str(caught.value)


def test_a_tap_of_whole_numbers_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, hand_made(out_type=7), taps=[{"name": "other", "tensor": "other"}])
    with pytest.raises(BackboneError, match=r"net\.onnx"):
        UserGraph.load(path)


def test_tokens_that_form_no_grid_are_refused(tmp_path: Path) -> None:
    data = export(small_token_net(), tmp_path / "net.onnx")
    tap = {"name": "t", "tensor": "last", "kind": "tokens"}
    with pytest.raises(BackboneError, match='correct "skip"'):
        UserGraph.load(save(tmp_path, data, taps=[tap]))
    with pytest.raises(BackboneError, match='correct "skip" or "stride"'):
        UserGraph.load(save(tmp_path, data, taps=[{**tap, "skip": 2, "stride": 4}]))
    with pytest.raises(BackboneError, match='correct "skip"'):
        UserGraph.load(save(tmp_path, data, taps=[{**tap, "skip": 99}]))


def test_files_that_are_missing_or_damaged(tmp_path: Path) -> None:
    path = save(tmp_path, hand_made(), taps=[TAP])
    card = tmp_path / "net.json"
    card.write_text("{")
    with pytest.raises(BackboneError, match=r"net\.json cannot be read as JSON"):
        UserGraph.load(path)
    card.write_text("[" * 100_000)
    with pytest.raises(BackboneError, match=r"net\.json cannot be read as JSON"):
        UserGraph.load(path)
    card.write_text("[]")
    with pytest.raises(BackboneError, match="JSON object"):
        UserGraph.load(path)
    card.write_text(" " * (2**20 + 1))
    with pytest.raises(BackboneError, match="1 MB"):
        UserGraph.load(path)
    card.unlink()
    with pytest.raises(BackboneError, match="needs a JSON card beside it"):
        UserGraph.load(path)
    save(tmp_path, hand_made(), taps=[TAP]).unlink()
    with pytest.raises(BackboneError, match="no ONNX file"):
        UserGraph.load(path)
    with pytest.raises(BackboneError, match="not an ONNX model"):
        UserGraph.load(save(tmp_path, b"\x89PNG", taps=[TAP]))
    broken = hand_made()
    broken.graph.node[1].op_type = "Convolve"
    with pytest.raises(BackboneError, match="checker"):
        UserGraph.load(save(tmp_path, broken, taps=[TAP]))
    with path.open("wb") as file:
        file.truncate(2 * 10**9 + 1)
    with pytest.raises(BackboneError, match="larger than the 2 GB"):
        UserGraph.load(path)


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    model = hand_made()
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location="../secret")
    tensor.ClearField("raw_data")
    with pytest.raises(BackboneError, match="weights in another file"):
        UserGraph.load(save(tmp_path, model, taps=[TAP]))


def test_a_card_at_another_place(tmp_path: Path) -> None:
    path = save(tmp_path, hand_made(), taps=[TAP])
    moved = (tmp_path / "net.json").rename(tmp_path / "card.json")
    assert UserGraph.load(path, card=moved).card.taps[0].channels == 5
