"""The appended nodes compute what numpy and torch compute."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from anomalens.backbones.efficientnet_lite import EfficientNetLite
from anomalens.backbones.embedding import patch_embedding, pooled_embedding
from anomalens.backbones.machine import available
from anomalens.backbones.runtimes import Runtime, open_session
from anomalens.errors import BackboneError, SettingError

onnx = pytest.importorskip("onnx")

TAPS = ["stride8", "stride16"]


@pytest.fixture(scope="module")
def lite0() -> bytes:
    return EfficientNetLite("efficientnet-lite0").graph([*TAPS, "stride4"])


def run(graph: bytes, image: np.ndarray, runtime: str = "onnxruntime") -> list[np.ndarray]:
    size = (image.shape[2], image.shape[3])
    return open_session(graph, runtime=Runtime(runtime), input_size=size).run(image)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("neighbourhood", [1, 3, 5])
@pytest.mark.parametrize("size", [(128, 160), (113, 135)], ids=str)
def test_patch_embedding_is_what_torch_computes(
    lite0: bytes,
    size: tuple[int, int],
    neighbourhood: int,
    runtime: str,
    noise: Callable[..., np.ndarray],
) -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    if runtime not in available():
        pytest.skip(f"{runtime} is not installed")
    image = noise(*size, 2)
    maps = [torch.from_numpy(value) for value in run(lite0, image)[:2]]
    averaged = [
        functional.avg_pool2d(m, neighbourhood, 1, neighbourhood // 2, count_include_pad=True) for m in maps
    ]
    grid = averaged[0].shape[2:]
    resized = [functional.interpolate(m, grid, mode="bilinear", align_corners=False) for m in averaged]
    expected = torch.cat(resized, 1).permute(0, 2, 3, 1).numpy()
    graph = patch_embedding(lite0, TAPS, size=size, neighbourhood=neighbourhood)
    (got,) = run(graph, image, runtime)
    assert got.dtype == np.float32 and got.shape == (2, *grid, 152)
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


def test_patch_embedding_follows_the_order_of_the_taps(
    lite0: bytes, noise: Callable[..., np.ndarray]
) -> None:
    image = noise(96, 96)
    (one,) = run(patch_embedding(lite0, TAPS, size=(96, 96)), image)
    (other,) = run(patch_embedding(lite0, TAPS[::-1], size=(96, 96)), image)
    np.testing.assert_allclose(other, np.concatenate([one[..., 40:], one[..., :40]], -1), atol=1e-5)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_pooled_embedding_is_what_numpy_computes(
    lite0: bytes, runtime: str, noise: Callable[..., np.ndarray]
) -> None:
    if runtime not in available():
        pytest.skip(f"{runtime} is not installed")
    image = noise(128, 160, 2)
    expected = []
    for value in run(lite0, image)[:2]:
        flat = value.reshape(2, value.shape[1], -1).astype(np.float64)
        expected += [
            flat.mean(-1),
            flat.std(-1),
            (np.maximum(flat, 1e-6) ** 3).mean(-1) ** (1 / 3),
        ]
    want = np.concatenate(expected, 1)
    (got,) = run(pooled_embedding(lite0, TAPS, ("mean", "std", "gem")), image, runtime)
    assert got.dtype == np.float32 and got.shape == (2, 3 * 152)
    np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())


def test_graphs_are_valid_deterministic_and_without_dead_nodes(lite0: bytes) -> None:
    for build in (
        lambda: patch_embedding(lite0, ["stride4"], size=(64, 96)),
        lambda: pooled_embedding(lite0, ["stride4"], size=(64, 96)),
    ):
        graph = build()
        assert graph == build()
        model = onnx.load_from_string(graph)
        onnx.checker.check_model(model, full_check=True)
        outputs = [value.name for value in model.graph.output]
        read = {name for node in model.graph.node for name in node.input} | set(outputs)
        assert {node.output[0] for node in model.graph.node} <= read
        assert {tensor.name for tensor in model.graph.initializer} <= read
        assert len(graph) < len(lite0) / 10
        dims = model.graph.input[0].type.tensor_type.shape.dim
        assert [dim.dim_value for dim in dims] == [0, 3, 64, 96]


def test_bad_settings_are_refused(lite0: bytes) -> None:
    with pytest.raises(SettingError, match="odd number"):
        patch_embedding(lite0, TAPS, size=(64, 64), neighbourhood=2)
    with pytest.raises(SettingError, match="did you mean 'stride8'"):
        patch_embedding(lite0, ["stride9"], size=(64, 64))
    with pytest.raises(SettingError, match="height, width"):
        patch_embedding(lite0, TAPS, size=(0, 64))
    with pytest.raises(SettingError, match="list of names"):
        patch_embedding(lite0, [], size=(64, 64))
    with pytest.raises(SettingError, match="statistic"):
        pooled_embedding(lite0, TAPS, ("median",))
    with pytest.raises(SettingError, match="each once"):
        pooled_embedding(lite0, TAPS, ("mean", "mean"))
    with pytest.raises(BackboneError, match="not an ONNX model"):
        patch_embedding(b"<?xml?>", TAPS, size=(64, 64))
