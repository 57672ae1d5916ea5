"""Which defaults an autoencoder with a kernel density needs on few pictures: chosen on all sources but one.

    python benchmarks/few_images.py study --cache DIR   trains 3 networks a set (an hour, one core), compares
    python benchmarks/few_images.py defaults NAME…      detectors as they stand, fitted and asked as users do

`ANOMALENS_DATA` says where the shared sets are. Networks that lie in the cache are not trained again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from few_image_sets import SETS, FewImages
from numpy.typing import NDArray

from anomalens import Inspector
from anomalens.calibration.tail_scale import TailScale
from anomalens.images.augment import Augmentation
from anomalens.metrics.ranking import auroc
from anomalens.training.autoencoder import Autoencoder, build
from anomalens.training.images import HeldImages
from anomalens.training.latent_density import LatentDensity, likeliest_bandwidth, scaled
from anomalens.training.loop import train
from anomalens.training.pixel_errors import pixel_error
from anomalens.training.plan import Plan
from anomalens.training.reconstruction import Penalties, ReconstructionScorer, autoencoder_learner
from anomalens.training.run import repeatable
from anomalens.training.split import Split, split_groups

MILD = Augmentation.parse("rotate=10,scale=0.1,crop=0.1,brightness=0.1")
PLANS = {
    "base": Plan(device="cpu"),
    "b8": Plan(device="cpu", batch_size=8),
    "b8aug": Plan(device="cpu", batch_size=8, augmentation=MILD),
}
TRAININGS = {"base": "batches of 32", "b8": "batches of 8", "b8aug": "batches of 8, changed pictures"}
ERRORS, SCORES, SCALINGS = (
    ("l2", "l1", "ssim", "flat"),
    ("mean", "norm4", "max"),
    ("whiten", "whiten, not shrunk", "standardise", "none"),
)
NOW = ("b8aug", "flat", True, "norm4", "whiten")
BEFORE = ("base", "l2", False, "mean", "whiten, not shrunk")
FEW = 16  # fewer validation pictures set no scale: those of training join them
Values = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Network:
    """An autoencoder trained on a set, and where its pictures went."""

    net: Autoencoder
    split: Split


def trained(name: str, training: str, images: FewImages, cache: Path) -> Network:
    """From the cache, or trained and put there."""
    file = cache / f"{name}-{training}-0.pt"
    if not file.exists():
        split = split_groups(np.arange(len(images.train)), validation=0.15, held_out=0.2, seed=0)
        with repeatable(0):
            net = build("conv", images.train.shape[1:3], latent=100, depth=4, width=16)
            train(
                autoencoder_learner(net, loss="l2", penalties=Penalties()),
                HeldImages(images.train),
                train_rows=split.train,
                validation_rows=split.validation,
                plan=PLANS[training],
            )
        torch.save({"net": net, "sp": split}, file)
    kept = torch.load(file, weights_only=False)
    return Network(kept["net"].eval(), kept["sp"])


class Remembered(torch.nn.Module):
    """What a network gives for some batches, computed once."""

    def __init__(self, net: Autoencoder, batches: list[torch.Tensor]) -> None:
        super().__init__()
        with torch.no_grad():
            self.known = {batch.data_ptr(): net(batch) for batch in batches}

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        reconstruction, codes = self.known[batch.data_ptr()]
        return reconstruction, codes


def measured(name: str, training: str, cache: Path) -> dict[tuple[object, ...], float]:
    """All candidates of one training, from the cache where they were measured before."""
    file = cache / f"{name}-{training}.json"
    if not file.exists():
        images = SETS[name][1]()
        found = candidates(trained(name, training, images, cache), images)
        file.write_text(json.dumps([[*choice, value] for choice, value in found.items()]))
        print(f"{name}, {TRAININGS[training]}", file=sys.stderr, flush=True)
    return {tuple(choice): value for *choice, value in json.loads(file.read_text())}


def candidates(network: Network, images: FewImages) -> dict[tuple[object, ...], float]:
    """Image AUROC by (error, relative, score, scaling); without a density the scaling is ""."""
    split = network.split
    seen = {
        part: list(HeldImages(pixels).batches(np.arange(len(pixels)), 32))
        for part, pixels in (
            ("train", images.train[split.train]),
            ("validation", images.train[split.validation]),
            ("good", images.good),
            ("odd", images.odd),
        )
    }
    remembered = Remembered(network.net, [batch for batches in seen.values() for batch in batches])
    codes = {part: _all([remembered(batch)[1] for batch in batches]) for part, batches in seen.items()}
    densities = {scaling: _densities(codes, scaling) for scaling in SCALINGS}
    usual = seen["validation"] + (seen["train"] if len(split.validation) < FEW else [])
    found: dict[tuple[object, ...], float] = {}
    for error in ERRORS:
        maps = {
            part: [pixel_error(batch, remembered(batch)[0], error) for batch in batches]
            for part, batches in seen.items()
        }
        for relative, score in product((False, True), SCORES):
            scorer = ReconstructionScorer(
                remembered, images.train.shape[1:3], error=error, sigma=2.0, image_score=score
            )
            if relative:
                scorer.learn_usual(usual)
            errors = {part: _all([scorer.read(one)[0][:, 0] for one in ones]) for part, ones in maps.items()}
            found[error, relative, score, ""] = _auroc(errors)
            for scaling, density in densities.items():
                found[error, relative, score, scaling] = _auroc(_joint(errors, density))
    return found


def _all(parts: list[torch.Tensor]) -> NDArray[np.float64]:
    return torch.cat(parts).numpy().astype(np.float64)


def _densities(codes: Values, scaling: str) -> Values:
    mean, matrix = _as_before(codes["train"]) if "not" in scaling else scaled(codes["train"], scaling)
    bandwidth = likeliest_bandwidth(*((codes[part] - mean) @ matrix for part in ("train", "validation")))
    density = LatentDensity(codes["train"], mean, matrix, bandwidth)
    return {
        part: density(torch.from_numpy(values.astype(np.float32))).numpy().astype(np.float64)
        for part, values in codes.items()
    }


def _as_before(codes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Whitening by the codes' own covariance, which of few codes is singular."""
    values, vectors = np.linalg.eigh(np.cov(codes.T, bias=True))
    deviations = np.sqrt(values.clip(0))
    return codes.mean(0), vectors / deviations.clip(1e-3 * deviations.max())


def _joint(*parts: Values) -> Values:
    scales = []
    for part in parts:
        few = len(part["validation"]) < FEW
        scales.append(TailScale.fit(np.concatenate([part["validation"], part["train"][: few * 10**6]])))
    return {
        kind: np.max([scale(part[kind]) for scale, part in zip(scales, parts, strict=True)], axis=0)
        for kind in ("good", "odd")
    }


def _auroc(scores: Values) -> float:
    return float(auroc(scores["good"], scores["odd"]))


def study(cache: Path) -> None:
    """Compare all candidates, choose on all sources but one, and print the tables."""
    torch.set_num_threads(1)
    cache.mkdir(parents=True, exist_ok=True)
    table: dict[tuple[object, ...], dict[str, float]] = {}
    for name in SETS:
        for training in PLANS:
            for choice, value in measured(name, training, cache).items():
                table.setdefault((training, *choice), {})[name] = value
    for title, dense in (("cae-kde", True), ("cae", False)):
        rivals = {choice: row for choice, row in table.items() if bool(choice[-1]) is dense}
        now, before = (which if dense else (*which[:-1], "") for which in (NOW, BEFORE))
        _tell(title, rivals, now, before)


def _tell(
    title: str,
    rivals: dict[tuple[object, ...], dict[str, float]],
    now: tuple[object, ...],
    before: tuple[object, ...],
) -> None:
    def mean(choice: tuple[object, ...], names: list[str]) -> float:
        return float(np.mean([rivals[choice][name] for name in names]))

    print(f"\n## {title}\n\n| left out | chosen on the others | AUROC there | the defaults now | before |")
    print("| --- | --- | --- | --- | --- |")
    chosen_there: list[float] = []
    for source in dict.fromkeys(source for source, _ in SETS.values()):
        out = [name for name, (its, _) in SETS.items() if its == source]
        others = [name for name in SETS if name not in out]
        choice = max(rivals, key=lambda choice: mean(choice, others))
        chosen_there += [rivals[choice][name] for name in out]
        cells = [", ".join(f"{rivals[which][name]:.3f}" for name in out) for which in (choice, now, before)]
        print(f"| {', '.join(out)} | {_words(choice)} | {' | '.join(cells)} |")
    print(
        f"\nMeans over {len(SETS)} sets: chosen elsewhere {np.mean(chosen_there):.3f}, the defaults "
        f"now {mean(now, list(SETS)):.3f}, before {mean(before, list(SETS)):.3f}.\n"
    )
    print("| settings | mean | cells_grey, cells_colour |\n| --- | --: | --- |")
    for choice in sorted(rivals, key=lambda choice: -mean(choice, list(SETS)))[:6]:
        cells = ", ".join(f"{rivals[choice][name]:.3f}" for name in ("cells_grey", "cells_colour"))
        print(f"| {_words(choice)} | {mean(choice, list(SETS)):.3f} | {cells} |")


def _words(choice: tuple[object, ...]) -> str:
    training, error, relative, score, scaling = choice
    words = [TRAININGS[str(training)], f"{error}{' relative' if relative else ''}", str(score), str(scaling)]
    return ", ".join(word for word in words if word)


def defaults(names: list[str], sets: list[str], parameters: dict[str, str]) -> None:
    """Image AUROC and seconds of each detector, as `Inspector.fit` gives it."""
    print("| set | " + " | ".join(names) + " |\n| --- |" + " --: |" * len(names))
    for name in sets:
        images, cells = SETS[name][1](), []
        for detector in names:
            begun = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of few pictures
                model = Inspector.fit(
                    images.train, detector=detector, parameters=parameters, size=images.train.shape[1]
                )
            seconds = time.perf_counter() - begun
            good, odd = (
                [finding.score for finding in model.check(pixels)] for pixels in (images.good, images.odd)
            )
            cells.append(f"{_auroc({'good': np.array(good), 'odd': np.array(odd)}):.3f} ({seconds:.0f} s)")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("study", "defaults"))
    parser.add_argument("names", nargs="*", default=["cae-kde"])
    parser.add_argument("--cache", type=Path, default=Path("few-images-cache"))
    parser.add_argument("--set", action="append", choices=list(SETS))
    parser.add_argument("-p", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    if asked.what == "study":
        study(asked.cache)
    else:
        defaults(asked.names, asked.set or list(SETS), dict(pair.split("=", 1) for pair in asked.p))
