"""A backbone with 8-bit weights and activations: `efficientnet-lite0:int8`.

Weights are rounded per output channel and symmetrically, activations per tensor, with the ranges that they
take on photographs that scikit-image carries (Jacob et al. 2018, arXiv:1712.05877; ONNX Runtime's static
quantisation in QDQ form). The networks' activations end at 6 (ReLU6), so whose photographs they are
matters little. The first three convolutions stay in float32: that halved the error of all features
and cost a sixth of the time gained (compared once, with code that was not kept).

A detector learns from the rounded features: what is fitted is what is used. Faster where the processor has
8-bit products (VNNI, AMX, dot products on ARM); measured in benchmarks/int8.md.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.card import INPUT_NAME, Backbone, BackboneCard
from anomalens.errors import BackboneError
from anomalens.packages import package_folder

SUFFIX: Final = ":int8"
_PHOTOGRAPHS: Final = (
    "astronaut.png", "chelsea.png", "coffee.png", "brick.png", "grass.png", "gravel.png", "coins.png",
    "motorcycle_left.png",
)  # fmt: skip
_PER_PHOTOGRAPH: Final = 4
_EXACT: Final = 3  # convolutions at the beginning that are not rounded


@dataclass(frozen=True)
class Quantised:
    """The backbone inside, in 8 bits.

    Attributes
    ----------
    inside : Backbone
    search : sequence of str, optional
        Folders in which scikit-image is looked for; by default all that Python imports from.
    """

    inside: Backbone
    search: Sequence[str] | None = None

    @property
    def card(self) -> BackboneCard:
        """The inner one's under its own name."""
        return replace(self.inside.card, name=self.inside.card.name + SUFFIX)

    def graph(self, taps: Sequence[str]) -> bytes:
        """See `Backbone.graph`; takes seconds."""
        import onnx
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

        model = onnx.load_from_string(self.inside.graph(taps))
        for number, node in enumerate(model.graph.node):
            node.name = node.name or f"node-{number}"
        with tempfile.TemporaryDirectory(prefix="anomalens-") as folder:
            path = Path(folder) / "int8.onnx"
            before = logging.root.manager.disable
            logging.disable(logging.WARNING)  # advice to prepare the graph, which is prepared
            try:
                quantize_static(
                    model,
                    path,
                    _Reader(self.card, _photographs(self.search)),
                    quant_format=QuantFormat.QDQ,
                    per_channel=True,
                    nodes_to_exclude=_beginning(model.graph.node),
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                )
            except Exception as error:  # onnxruntime's quantiser raises whatever its steps do
                reason = next((line for line in str(error).splitlines() if line.strip()), "no reason")
                raise BackboneError(
                    f"{self.inside.card.name} cannot be brought to 8 bits ({reason[:200]}); use it without "
                    f"{SUFFIX}."
                ) from None
            finally:
                logging.disable(before)
            return path.read_bytes()


def _beginning(nodes: Iterable[Any]) -> list[str]:
    """Names of the nodes up to the last convolution that stays exact."""
    names, convolutions = [], 0
    for node in nodes:
        names.append(node.name)
        convolutions += node.op_type == "Conv"
        if convolutions == _EXACT:
            return names
    return []


class _Reader:
    """Hands out calibration images; the interface of onnxruntime's `CalibrationDataReader`."""

    def __init__(self, card: BackboneCard, photographs: Sequence[NDArray[Any]]) -> None:
        mean, std = (np.array(v, np.float32).reshape(3, 1, 1) for v in (card.mean, card.std))
        self._images = iter([(crop - mean) / std for crop in _crops(photographs, card.size)])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT_NAME: image[None]}


def _crops(photographs: Sequence[NDArray[Any]], size: tuple[int, int]) -> list[NDArray[np.float32]]:
    """Float32 [3, h, w], 0–255: places in the photographs, the same every time."""
    height, width = size
    rng = np.random.default_rng(0)
    crops = []
    for photograph in photographs:
        rows, columns = photograph.shape[0] - height, photograph.shape[1] - width
        for _ in range(_PER_PHOTOGRAPH):
            y, x = (int(rng.integers(0, max(room, 0) + 1)) for room in (rows, columns))
            crop = photograph[y : y + height, x : x + width].astype(np.float32)
            short = ((0, height - crop.shape[0]), (0, width - crop.shape[1]), (0, 0))
            crops.append(np.pad(crop, short, mode="symmetric").transpose(2, 0, 1))
    return crops


def _photographs(search: Sequence[str] | None) -> list[NDArray[Any]]:
    from anomalens.images.decode import decode

    folder = package_folder("skimage", search)
    paths = [] if folder is None else [folder / "data" / name for name in _PHOTOGRAPHS]
    found = [decode(path).pixels for path in paths if path.is_file()]
    if len(found) < len(_PHOTOGRAPHS) // 2:
        raise BackboneError(
            "An int8 backbone needs the photographs that scikit-image carries, and they are not installed; "
            "reinstall it with  pip install --force-reinstall scikit-image"
        )
    return found
