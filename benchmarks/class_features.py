"""Features of labelled sets from the packaged backbone, and a linear head on them.

Pictures are enlarged to 128 px; the means of three layers (strides 8, 16, 32) are the features.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image
from real_sets import DATA
from sklearn.linear_model import LogisticRegression

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.classifier.outputs import LastLayer, Outputs
from anomalens.detectors.features.pretrained import PooledNetwork

SIDE = 128
STRENGTH = 0.003  # of the head: scikit-learn's C, for features of unit variance


@dataclass(frozen=True)
class Part:
    """Features float32 [n, d] and class names of the images of one part."""

    features: np.ndarray
    labels: np.ndarray

    def where(self, kept: np.ndarray) -> Part:
        return Part(self.features[kept], self.labels[kept])


@cache
def network() -> Callable[[np.ndarray], np.ndarray]:
    taps = ("stride8", "stride16", "stride32")
    size = (SIDE, SIDE)
    return PooledNetwork.from_backbone("efficientnet-lite0", taps, ("mean",), size=size, runtime=Runtime())


def described(image: np.ndarray | Image.Image) -> np.ndarray:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    return network()(np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)))


@cache
def read(name: str, part: str) -> Part:
    """One part ("train" or "test") of an .npz or of the groceries' tar."""
    if name == "grocery_store":
        return groceries(part)
    with np.load(next((DATA / name).glob("*.npz"))) as data:
        features = np.stack([described(image) for image in data[f"x_{part}"]])
        return Part(features, data["class_names"][data[f"y_{part}"]])


def groceries(part: str) -> Part:
    features, labels = [], []
    with tarfile.open(next((DATA / "grocery_store").glob("*.tar"))) as tar:
        for member in sorted((m for m in tar if m.isfile()), key=lambda m: m.name):
            *_, of, label, _ = member.name.split("/") if member.name.count("/") > 1 else ("", "", "")
            file = tar.extractfile(member) if of == part else None
            if file is not None:
                features.append(described(Image.open(io.BytesIO(file.read()))))
                labels.append(label)
    return Part(np.stack(features), np.array(labels))


class Head:
    """A linear head; what scales the features is folded into it, so that scores see them as they are."""

    def __init__(self, part: Part) -> None:
        names, self.labels = np.unique(part.labels, return_inverse=True)
        mean, spread = part.features.mean(0), part.features.std(0) + 1e-6
        found = LogisticRegression(C=STRENGTH, max_iter=300).fit((part.features - mean) / spread, self.labels)
        weight = found.coef_ / spread
        bias = found.intercept_ - weight @ mean
        self.names = names
        self.last = LastLayer(weight.astype(np.float32), bias.astype(np.float32))

    def __call__(self, features: np.ndarray) -> Outputs:
        narrow = features.astype(np.float32)
        return Outputs(self.last.logits(narrow), narrow)
