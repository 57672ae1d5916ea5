"""Small model files of every family, and what they say of a few images: run once a version of the format.

    python scripts/store_models.py tests/stored/v1

Later versions must load these files and say the same (`tests/inspector/test_stored_models.py`). The backbone
is a tiny network of fixed random weights, so that a file stays far below 1 MB.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from anomalens import Inspector, __version__
from anomalens.detectors.checks import TexturedImages, painted
from anomalens.errors import AnomalensWarning

SIZE: Final = (64, 64)
TINY: Final = {"epochs": 2, "batch_size": 4}
MODELS: Final[dict[str, dict[str, Any]]] = {
    "auto": {"min_bank": 100},
    "patchcore": {"min_bank": 100},
    "padim": {"dimensions": 16, "components": 4, "rank": 4},
    "spade": {"dimensions": 16},
    "dictionary": {"n_words": 20},
    "template": {},
    "texture-patches": {},
    "tiled:patchcore": {"min_bank": 100},
    "gaussian": {},
    "knn": {},
    "kde": {},
    "gmm": {},
    "pca": {},
    "ocsvm": {},
    "iforest": {"n_estimators": 20},
    "lof": {},
    "combine:knn,gaussian": {},
    "flow": {"epochs": 2},
    "fastflow": TINY,
    "simplenet": TINY,
    "student-teacher": {**TINY, "width": 4, "latent": 8},
    "deep-svdd": {**TINY, "pretraining": 1, "width": 4, "latent": 8, "members": 1},
    "rotnet": {**TINY, "width": 4},
    "cae": {**TINY, "width": 4, "latent": 8},
    "cae-kde": {**TINY, "width": 4, "latent": 8},
    "vae": {**TINY, "width": 4, "latent": 8},
    "ganomaly": {**TINY, "width": 4, "latent": 8},
}


def tiny_backbone(folder: Path) -> Path:
    """Five convolutions, each of which halves its input; all but the first are taps."""
    rng = np.random.default_rng(7)
    channels = [3, 6, 8, 10, 12, 16]
    nodes, weights, taps, value = [], [], [], "image"
    for layer, (before, after) in enumerate(pairwise(channels)):
        kernel = rng.normal(0, (2 / (9 * before)) ** 0.5, (after, before, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"kernel{layer}"))
        nodes += [
            helper.make_node(
                "Conv", [value, f"kernel{layer}"], [f"conv{layer}"], strides=[2, 2], pads=[1, 1, 1, 1]
            ),
            helper.make_node("Relu", [f"conv{layer}"], [f"stride{2 ** (layer + 1)}"]),
        ]
        value = f"stride{2 ** (layer + 1)}"
        if layer:
            taps.append({"name": value, "tensor": value, "channels": after})
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["n", channels[-1], "oh", "ow"])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "tiny.onnx").write_bytes(model.SerializeToString())
    card = {"licence": "Apache-2.0", "scaling": "imagenet", "size": 64, "taps": taps, "name": "tiny"}
    (folder / "tiny.json").write_text(json.dumps(card))
    return folder / "tiny.onnx"


def backbone_parameter(detector: str, backbone: Path) -> dict[str, str]:
    """The name under which a detector takes its backbone, or none where it trains on pixels."""
    if detector.startswith("combine:"):
        return {f"{member}.backbone": str(backbone) for member in detector.partition(":")[2].split(",")}
    pixels = ("deep-svdd", "rotnet", "cae", "cae-kde", "vae", "ganomaly", "texture-patches")
    return {} if detector in pixels else {"backbone": str(backbone)}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    training = list(TexturedImages.make(24, SIZE, seed=0))
    fresh = list(TexturedImages.make(4, SIZE, seed=1))
    images = [*fresh, *(painted(image)[0] for image in fresh[:2])]
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"image{number}.png")
    expected: dict[str, Any] = {"anomalens": __version__, "models": {}}
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", AnomalensWarning)
        backbone = tiny_backbone(Path(temporary))
        for detector, parameters in MODELS.items():
            paired = detector == "template"
            references = [np.roll(image, 1, axis=1) for image in training] if paired else None
            asked = [np.roll(image, 1, axis=1) for image in [*fresh, *fresh[:2]]] if paired else None
            inspector = Inspector.fit(
                training,
                references=references,
                detector=detector,
                parameters={**parameters, **backbone_parameter(detector, backbone)},
                size=64,
                tile=32 if detector.startswith("tiled:") else None,
                overlap=16 if detector.startswith("tiled:") else None,
                policy="false-alarm-rate=0.1",
                runtime="onnxruntime",
                threads=1,
            )
            name = detector.replace(":", "-").replace(",", "-") + ".anomalens"
            path = inspector.save(folder / name)
            expected["models"][name] = [
                {"score": f.score, "p_value": f.p_value, "anomalous": f.anomalous, "error": f.error,
                 "regions": [region.to_json() for region in f.regions]}
                for f in Inspector.load(path).check(images, references=asked)
            ]  # fmt: skip
            print(f"{name}: {path.stat().st_size} bytes")
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
