"""Prepared image → features (and distances), through the ONNX graph that the model file carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.card import BackboneCard
from anomalens.backbones.quantised import SUFFIX
from anomalens.backbones.runtimes import Runtime, open_session
from anomalens.errors import BackboneError, ModelFileError
from anomalens.images.arrays import Pixels

PATCH_STRIDES: Final = (8, 16)  # PatchCore's usual ones
ROUNDING: Final = 0.03  # mean change of distances that 8 bits may make, relative; 0.004 was measured
LARGEST: Final = 1e15  # sums of squares of smaller numbers stay finite in float32


class FeatureNetwork:
    """Scales an image as the backbone asks and runs the graph.

    Images are run one at a time: on a CPU a batch gains little, and so no image's score can depend on
    its neighbours in a batch.
    """

    def __init__(
        self,
        graph: bytes,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        size: tuple[int, int],
        runtime: Runtime,
        backbone: Mapping[str, Any],
    ) -> None:
        self.graph = graph
        scaling = np.array([mean, std], np.float64)
        least = 1 / LARGEST
        if not (np.abs(scaling) < LARGEST).all() or not (np.abs(scaling[1]) > least).all():
            raise ValueError(f"no image can be scaled by mean {mean} and std {std}")
        self._mean, self._std = scaling.astype(np.float32).reshape(2, 3, 1, 1)
        # where the weights come from and their licence travel with every model file
        self._numbers: dict[str, Any] = {"mean": list(mean), "std": list(std), "backbone": dict(backbone)}
        self._size = size
        self._session = open_session(graph, runtime=runtime, input_size=size)

    @classmethod
    def from_backbone(
        cls,
        name: str,
        taps: Sequence[str],
        *,
        neighbourhood: int,
        size: tuple[int, int],
        runtime: Runtime,
    ) -> Self:
        """Build the graph from a backbone's name or file; only fitting comes here."""
        from anomalens.backbones.embedding import patch_embedding
        from anomalens.backbones.registry import load_backbone

        backbone = load_backbone(name)
        card = backbone.card
        card.check_size(size)
        taps = taps or taps_at(card, PATCH_STRIDES)
        graph = patch_embedding(
            backbone.graph(taps), taps, size=size, neighbourhood=neighbourhood, runtime=runtime
        )
        return cls.from_card(graph, card, used=taps, size=size, runtime=runtime)

    @classmethod
    def from_card(
        cls, graph: bytes, card: BackboneCard, *, used: Sequence[str], size: tuple[int, int], runtime: Runtime
    ) -> Self:
        """A graph that begins with the backbone's; `used` are the taps that it needs."""
        backbone = {**card.to_json(), "used": list(used)}
        return cls(graph, mean=card.mean, std=card.std, size=size, runtime=runtime, backbone=backbone)

    @classmethod
    def from_numbers(
        cls, numbers: Mapping[str, Any], graph: bytes, *, size: tuple[int, int], runtime: Runtime
    ) -> Self:
        """Rebuild from a state; ValueError or KeyError where its numbers are damaged."""
        scaling = {key: numbers[key] for key in ("mean", "std", "backbone")}
        return cls(graph, **scaling, size=size, runtime=runtime)

    @property
    def rounds(self) -> bool:
        """Whether the network computes in 8 bits."""
        return str(self._numbers["backbone"].get("name", "")).endswith(SUFFIX)

    def numbers(self) -> dict[str, Any]:
        """The scaling and the backbone's card, for the state."""
        return self._numbers

    def with_graph(self, graph: bytes, *, runtime: Runtime) -> Self:
        """The same scaling in front of another graph."""
        return type(self)(graph, **self._numbers, size=self._size, runtime=runtime)

    def named(self, image: Pixels, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Some of the graph's outputs for a prepared image, by name.

        Raises
        ------
        ModelFileError
            The graph has no output of that name.
        """
        values = self(image)
        found = {}
        for name in names:
            place = next((i for i, called in enumerate(self._session.outputs) if name in called), None)
            if place is None:
                raise ModelFileError(f"The model's network gives no {name!r}; fit the model again.")
            found[name] = values[place]
        return found

    def __call__(self, image: Pixels) -> list[NDArray[np.float32]]:
        """The graph's outputs for a prepared image [height, width, 3]: features [h, w, c] first."""
        # channel by channel in memory before any arithmetic: several times faster than on a transposed view
        x = np.empty((1, image.shape[2], *image.shape[:2]), np.float32)
        x[0] = image.transpose(2, 0, 1)
        np.subtract(x, self._mean, out=x)
        np.divide(x, self._std, out=x)
        outputs = self._session.run(x)
        if not np.abs(outputs[0]).max() < LARGEST:
            raise BackboneError(
                "The backbone gave values that are no numbers or too large; use another backbone, "
                "precision or scaling."
            )
        return [np.asarray(output[0], np.float32) for output in outputs]


def taps_at(card: BackboneCard, strides: Sequence[int]) -> tuple[str, ...]:
    """The backbone's taps at these strides; all of its taps if it lacks one of them."""
    names = tuple(tap.name for tap in card.taps)
    usual = tuple(f"stride{stride}" for stride in strides)
    return usual if set(usual) <= set(names) else names
