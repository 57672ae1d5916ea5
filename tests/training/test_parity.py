"""A graph is compared with its module on a scale that training cannot shrink; a broken one is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

torch = pytest.importorskip("torch", reason="needs the extra train")

from anomalens.backbones.runtimes import NAMES, Runtime  # noqa: E402
from anomalens.detectors import load_detector  # noqa: E402
from anomalens.detectors.checks import TexturedImages  # noqa: E402
from anomalens.errors import BackboneError  # noqa: E402
from anomalens.job import Job  # noqa: E402
from anomalens.training.autoencoder import build  # noqa: E402
from anomalens.training.export import check_parity, to_onnx  # noqa: E402
from anomalens.training.images import HeldImages  # noqa: E402
from anomalens.training.run import TrainingRun, repeatable  # noqa: E402
from anomalens.training.svdd import GlobalContrast, Svdd, SvddScorer  # noqa: E402

REFUSED = "differs from the trained network"
LEARNED = ("cae", "cae-kde", "vae", "vae-gan", "f-anogan", "ganomaly", "deep-svdd", "rotnet", "cutpaste")


def held(count: int = 12) -> HeldImages:
    return HeldImages(np.stack(list(TexturedImages.make(count, (32, 32), seed=0))))


def test_a_graph_agrees_with_its_module_and_a_wrong_one_is_refused() -> None:
    with repeatable(0):
        module = build("conv", (32, 32), latent=4, depth=2, width=4).eval()
        other = build("conv", (32, 32), latent=4, depth=2, width=4).eval()
    images, noise, nan = held().tensor(np.arange(3)), held().noise(), float("nan")
    graph = to_onnx(module, size=(32, 32), outputs=("reconstruction", "code"))
    assert check_parity(module, graph, images, noise, Runtime()) < 0.1
    nodes = onnx.load_from_string(graph).graph.node
    assert not any(node.doc_string for node in nodes)
    for wrong in (other, lambda image: [nan * part for part in module(image)]):
        with pytest.raises(BackboneError, match=REFUSED):
            check_parity(wrong, graph, images, noise, Runtime())


@pytest.mark.parametrize("runtime", NAMES)
@pytest.mark.parametrize("nearness", [1e-1, 1e-2, 1e-3])
def test_distances_that_training_made_small_are_no_broken_export(runtime: str, nearness: float) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino", reason="needs the extra fast")
    images = held()
    module = gathered(images, nearness)
    graph = to_onnx(module, size=(32, 32), outputs=("distance",))
    shown = images.tensor(np.arange(6))
    assert check_parity(module, graph, shown, images.noise(), Runtime(runtime)) < 0.5
    with pytest.raises(BackboneError, match=REFUSED):
        check_parity(gathered(images, nearness, seed=1), graph, shown, images.noise(), Runtime(runtime))


def gathered(images: HeldImages, nearness: float, seed: int = 0) -> SvddScorer:
    """Codes of normal images lie so near to the centre, in units of its norm, as training may bring them."""
    torch.manual_seed(seed)
    rows = np.arange(len(images))
    svdd = Svdd((32, 32), members=1, latent=8, depth=2, width=4, contrast=GlobalContrast(images, rows))
    svdd.eval()
    with torch.no_grad():
        last = svdd.encoders[0][-1]
        seen = torch.nn.Sequential(*list(svdd.encoders[0])[:-1])(svdd.contrast(images.tensor(rows)))
        shared = seen.mean(0) / (seen.mean(0) @ seen.mean(0))
        # what all images share is kept, what tells them apart nearly lost
        last.weight.mul_(nearness).add_(torch.ones(8, 1) * shared)
    svdd.place_centres(images, rows)
    return SvddScorer(svdd, torch.ones(1))


@pytest.mark.parametrize("name", LEARNED)
def test_every_trained_detector_is_refused_with_a_layer_that_is_not_its_own(name: str) -> None:
    kind = load_detector(name)
    tiny = {"epochs": "12", "batch_size": "4", "width": "4", "pretraining": "2", "gan_steps": "10"}
    known = kind.settings_type.__dataclass_fields__
    settings = kind.settings_type.from_texts({key: tiny[key] for key in tiny if key in known})
    detector: Any = kind(settings)
    with repeatable(0):
        run = TrainingRun.prepare(
            TexturedImages.make(12, (32, 32), seed=0), detector.settings.plan(), name=name, decided_by={},
            validation=0.2, held_out=0.2, job=Job(Runtime()),
        )  # fmt: skip
        module = detector.learn(run).module.eval()
    outputs = ("components", "map") if detector.pixel_level else ("components",)
    shown, noise = run.images.tensor(run.parity_rows), run.images.noise()
    graph = run.exported(module, outputs)
    assert check_parity(module, graph, shown, noise, Runtime()) < 0.5
    with pytest.raises(BackboneError, match=REFUSED):
        check_parity(module, with_a_layer_of_noise(graph), shown, noise, Runtime())


def with_a_layer_of_noise(graph: bytes) -> bytes:
    """The first convolution's weights drawn anew, of the same size."""
    model = onnx.load_from_string(graph)
    used = {name for node in model.graph.node if node.op_type == "Conv" for name in node.input}
    tensors = model.graph.initializer
    first = next(tensor for tensor in tensors if tensor.name in used and len(tensor.dims) == 4)
    weights = numpy_helper.to_array(first)
    drawn = np.random.default_rng(0).normal(0, weights.std(), weights.shape).astype(weights.dtype)
    first.CopyFrom(numpy_helper.from_array(drawn, first.name))
    data: bytes = model.SerializeToString()
    return data
