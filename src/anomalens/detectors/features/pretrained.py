"""Pooled layers of a pretrained network: one vector of means and deviations of its channels.

The pooling is part of the ONNX graph that the model file carries. Deep layers say what an image shows,
shallow ones how its surface looks. Of the coarsest layer only the means are taken unless asked otherwise:
it has few positions, and deviations over a few positions are mostly chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.features.extractor import FeatureGroup
from anomalens.detectors.network import FeatureNetwork, taps_at
from anomalens.images.arrays import Pixels

STRIDES: Final = (4, 8, 16, 32)


class PooledNetwork:
    """Prepared image → pooled features [d], one image at a time."""

    def __init__(self, network: FeatureNetwork, groups: tuple[FeatureGroup, ...]) -> None:
        self._network = network  # scales the image, runs the graph, refuses values that are no numbers
        self.groups = groups

    @classmethod
    def from_backbone(
        cls,
        name: str,
        taps: Sequence[str],
        statistics: Sequence[str],
        *,
        size: tuple[int, int],
        runtime: Runtime,
    ) -> Self:
        """Build the graph from a backbone's name or file; only fitting comes here."""
        from anomalens.backbones.embedding import pooled_embedding
        from anomalens.backbones.registry import load_backbone

        backbone = load_backbone(name)
        card = backbone.card
        card.check_size(size)
        taps = tuple(taps) or taps_at(card, STRIDES)
        if not statistics:
            taps = sorted(taps, key=lambda tap: card.tap(tap).stride)
        pooled = tuple(statistics) or ("mean", "std")
        graph = pooled_embedding(backbone.graph(taps), taps, pooled, size=size)
        network = FeatureNetwork.from_card(graph, card, used=list(taps), size=size, runtime=runtime)
        groups, start = [], 0
        for tap in taps:
            for statistic in pooled:
                stop = start + card.tap(tap).channels
                groups.append(FeatureGroup(f"{tap} {statistic}", start, stop))
                start = stop
        if not statistics and len(taps) > 1:
            groups.pop()  # the coarsest layer's deviations
        return cls(network, tuple(groups))

    @classmethod
    def from_numbers(
        cls, numbers: Mapping[str, Any], graph: bytes, *, size: tuple[int, int], runtime: Runtime
    ) -> Self:
        """Rebuild from the state."""
        network = FeatureNetwork.from_numbers(numbers, graph, size=size, runtime=runtime)
        return cls(network, tuple(FeatureGroup(str(n), int(a), int(b)) for n, a, b in numbers["groups"]))

    def __call__(self, image: Pixels) -> NDArray[np.float32]:
        # a copy: a view would keep the whole alive
        return self._network(image)[0][: self.groups[-1].stop].copy()

    def numbers(self) -> dict[str, Any]:
        groups = [[g.name, g.start, g.stop] for g in self.groups]
        return {"kind": "pretrained", **self._network.numbers(), "groups": groups}

    def graphs(self) -> dict[str, bytes]:
        return {"features": self._network.graph}
