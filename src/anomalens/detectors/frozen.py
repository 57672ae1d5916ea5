"""Base of the detectors that train a small network on a frozen backbone's features.

The backbone runs once on every normal image; its features are held as float16, those of each tap in memory
up to 1 GB and beyond it in a temporary file (`training/features.py`), so that an epoch costs the small
network alone. The backbone's graph and the learnt one are joined: scoring is one graph from the image to the
map.

Because features are computed once, images are not changed anew in every epoch; `fit --augment` adds changed
copies instead, each with features of its own.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from anomalens.detectors.contract import parameter
from anomalens.detectors.learned import LearnedDetector, LearnedSettings
from anomalens.detectors.network import PATCH_STRIDES, FeatureNetwork, taps_at
from anomalens.errors import SettingError

if TYPE_CHECKING:
    from anomalens.backbones.card import BackboneCard
    from anomalens.backbones.runtimes import Runtime
    from anomalens.training.features import HeldFeatures
    from anomalens.training.run import Trained, TrainingRun

Grid = tuple[int, int]


@dataclass(frozen=True)
class FrozenSettings(LearnedSettings):
    """Parameters of the training, and of the backbone before it."""

    backbone: str = parameter(
        "efficientnet-lite0", "a name from `anomalens backbones`, or an ONNX file with a card"
    )
    taps: tuple[str, ...] = parameter(
        (), "layers of the backbone, comma-separated; default: those at 1/8 and 1/16"
    )
    top_share: float = parameter(
        0.01, "share of the map, its highest values, whose mean is the image's score; 0: its maximum",
        limits=(0.0, 1.0),
    )  # fmt: skip


class FrozenDetector(LearnedDetector):
    """A network trained on features that stay as they are."""

    from_scratch: ClassVar[bool] = False

    settings: FrozenSettings

    _frozen: FeatureNetwork

    @abstractmethod
    def learn_features(self, run: TrainingRun, held: HeldFeatures) -> Trained:
        """Train on `run`, whose images are `held`, and give the module that scores.

        It takes the taps, each [1, c, h, w], and gives the components [1, k] and a map [1, h, w].
        """

    def used_taps(self, card: BackboneCard) -> tuple[str, ...]:
        """Layers whose maps are held, in the order in which `learn_features` finds them."""
        return self.settings.taps or taps_at(card, PATCH_STRIDES)

    def _frozen_network(self, size: Grid, runtime: Runtime) -> FeatureNetwork:
        from anomalens.backbones.embedding import tap_grids
        from anomalens.backbones.graph_surgery import Graph
        from anomalens.backbones.registry import load_backbone

        backbone = load_backbone(self.settings.backbone)
        card = backbone.card
        card.check_size(size)
        taps = self.used_taps(card)
        edited = Graph.parse(backbone.graph(taps))
        grids = tap_grids(edited, taps, size, runtime)
        edited.pin_size(size)
        graph = edited.finish([(tap, ["n", card.tap(tap).channels, *grids[tap]]) for tap in taps])
        return FeatureNetwork.from_card(graph, card, used=taps, size=size, runtime=runtime)

    def learn(self, run: TrainingRun) -> Trained:
        from anomalens.training.features import HeldFeatures

        if self.settings.augment:
            raise SettingError(
                f"{self.name} computes features once and cannot change images in every epoch; leave "
                "augment out, or fit with --augment, which adds changed copies."
            )
        self._frozen = self._frozen_network(run.size, run.job.runtime)
        numbers = self._frozen.numbers()
        run.images = held = HeldFeatures.read(
            run.images,
            self._frozen,
            # another runtime or precision gives other features
            identity=self._frozen.graph + str((numbers["mean"], numbers["std"], run.job.runtime)).encode(),
            scaling=(numbers["mean"], numbers["std"]),
            progress=run.job.progress,
        )
        return self.learn_features(run, held)

    def _deployed(self, run: TrainingRun, trained: Trained) -> FeatureNetwork:
        from anomalens.training.features import HeldFeatures
        from anomalens.training.joined import joined_graph

        assert isinstance(run.images, HeldFeatures)
        shapes = {"components": (1, len(self.components)), "map": (1, *run.size)}
        graph = joined_graph(
            trained.module,
            run.images,
            self._frozen.graph,
            rows=run.parity_rows,
            outputs={name: shapes[name] for name in self._outputs()},
            runtime=run.job.runtime,
        )
        return self._frozen.with_graph(graph, runtime=run.job.runtime)
