"""The fit of `auto`: features → models → left-out distances → evidence → weights and map → graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from anomalens.backbones.embedding import DETAIL as DETAIL_FEATURES
from anomalens.backbones.embedding import EMBEDDING, FEATURES
from anomalens.backbones.embedding import FINE as FINE_FEATURES
from anomalens.calibration.conformal import MIN_GROUPS
from anomalens.detectors.contract import TrainingImages
from anomalens.detectors.patches.auto.choice import Choice, fine_models
from anomalens.detectors.patches.auto.context import Context
from anomalens.detectors.patches.auto.learning import Learning
from anomalens.detectors.patches.auto.left_out import LeftOutDistances
from anomalens.detectors.patches.auto.names import DETAIL, FINE, LAYOUT, NEAREST
from anomalens.detectors.patches.auto.reading import LAYOUT_STEP
from anomalens.detectors.patches.auto.settings import AutoSettings
from anomalens.detectors.patches.auto.tail_fusion import TailFusion
from anomalens.detectors.patches.detector import Learnt, LeftOut
from anomalens.detectors.patches.views.bank import Bank
from anomalens.detectors.patches.views.scoring import Placed, Scoring
from anomalens.detectors.patches.views.view import Grid
from anomalens.job import Job


@dataclass(frozen=True)
class Fitted:
    """What `auto` learnt.

    Attributes
    ----------
    learnt : Learnt
    grid : (int, int)
    context : Context
    fusion : TailFusion
    chosen : dict
        What was chosen and why, in plain numbers and one sentence.
    """

    learnt: Learnt
    grid: Grid
    context: Context
    fusion: TailFusion
    chosen: Mapping[str, Any]


def fit_auto(settings: AutoSettings, images: TrainingImages, job: Job) -> Fitted:
    """Learn the views, weigh them, and put them behind the network."""
    at_hand = Learning.of(settings, images, job)
    memory = at_hand.reading.memory
    choice, left_out = _weighed(at_hand)
    bank = memory.bank()
    scoring = _scoring(at_hand, bank, choice)
    return Fitted(
        Learnt(scoring.network(at_hand.network, images, job), list(left_out)),
        memory.grid,
        Context.learn(at_hand.reading.pooled),
        choice.fusion,
        {**choice.said, "search_axes": len(bank.factor) - 1},
    )


def _weighed(at_hand: Learning) -> tuple[Choice, Iterable[LeftOut]]:
    """What evidence says, where there are enough groups for any, and the images that it comes from."""
    banks = list(at_hand.reading.memory.banks_without())
    if banks and len(np.unique(at_hand.plan.groups)) >= MIN_GROUPS:
        found = LeftOutDistances.measure(at_hand, banks)
        rows = np.flatnonzero(found.known[at_hand.reading.painted.rows])
        if len(rows):  # else all learnt images are of one fold: nothing tells the views apart
            choice = Choice.by_evidence(at_hand, found, rows)
            return choice, found.images(at_hand, choice.drawing, fine_models(at_hand))
    return Choice.patches_alone(at_hand.makers[NEAREST]), ()


def _scoring(at_hand: Learning, bank: Bank, choice: Choice) -> Scoring:
    """What stands behind the network: the views of the score, and those that the map has a share of."""
    reading, (h, w) = at_hand.reading, at_hand.reading.memory.grid
    coarser = -(-h // LAYOUT_STEP), -(-w // LAYOUT_STEP)
    placed = [
        Placed(bank, NEAREST, EMBEDDING, (h, w)),
        Placed(at_hand.layout.gaussians, LAYOUT, EMBEDDING, coarser, step=LAYOUT_STEP),
    ]
    drawn = {term.view for term in choice.drawing.terms}
    if DETAIL in drawn:
        placed.append(Placed(at_hand.detail.gaussians, DETAIL, DETAIL_FEATURES, (h, w), shown=False))
    if FINE in drawn and reading.fine is not None and reading.fine_grid is not None:
        placed.append(Placed(reading.fine.gaussians(), FINE, FINE_FEATURES, reading.fine_grid, shown=False))
    sources = tuple(dict.fromkeys([FEATURES, *(one.source for one in placed)]))
    return Scoring(sources, tuple(placed), choice.drawing, (FEATURES,))
