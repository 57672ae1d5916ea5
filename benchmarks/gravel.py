"""What can be found on gravel and grass at all: `python benchmarks/gravel.py` (some ten minutes).

Tiles of 64 px as the demonstration had them, a defect on half of the tested ones, six painting seeds. Each
pair of strides and size is tried with two distances; prints image AUROC of all painted tiles and of each
kind.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.embedding import patch_embedding
from anomalens.backbones.registry import load_backbone
from anomalens.backbones.runtimes import choose
from anomalens.demo.photographs import load_photograph
from anomalens.detectors.network import FeatureNetwork
from anomalens.detectors.patches.views.bank import Bank
from anomalens.detectors.patches.views.maps import mean_of_highest
from anomalens.detectors.patches.views.shared_gaussians import SharedMoments
from anomalens.images.resample import resize
from anomalens.images.synthetic_defects import DEFECTS, paint
from anomalens.metrics.ranking import auroc
from anomalens.threads import one_blas_thread

Tile = NDArray[np.uint8]
Patches = NDArray[np.float32]
Distances = Callable[[Patches], Patches]
TAPS = ((("stride8", "stride16"), 3), (("stride4", "stride8"), 1), (("stride4", "stride8"), 3),
        (("stride4", "stride8", "stride16"), 1))  # fmt: skip
SIZES, SHARES, SEEDS, SIDE = (128, 192, 256), (0.0005, 0.005, 0.02), 6, 64


def chessboard(file: str) -> tuple[list[Tile], list[Tile]]:
    """White tiles, which are learnt, and black ones."""
    pixels = load_photograph(file)
    squares = [
        ((x + y) % 2, pixels[y * SIDE : (y + 1) * SIDE, x * SIDE : (x + 1) * SIDE])
        for x in range(pixels.shape[1] // SIDE)
        for y in range(pixels.shape[0] // SIDE)
    ]
    return [tile for black, tile in squares if not black], [tile for black, tile in squares if black]


def network(taps: tuple[str, ...], neighbourhood: int, side: int) -> FeatureNetwork:
    """Tile of this side → patches."""
    backbone, runtime, size = load_backbone(), choose(threads=1), (side, side)
    graph = patch_embedding(
        backbone.graph(list(taps)), taps, size=size, neighbourhood=neighbourhood, runtime=runtime
    )
    return FeatureNetwork.from_card(graph, backbone.card, used=list(taps), size=size, runtime=runtime)


def distances(normal: list[Patches]) -> Iterator[tuple[str, Distances]]:
    """To the mean of each position under one covariance, and to a bank of every tenth patch."""
    moments, every = SharedMoments(1), np.concatenate(normal)
    for patches in normal:
        moments.add(patches, 0)
    yield "a mean per position", moments.gaussians().distances
    chosen = np.random.default_rng(0).permutation(len(every))[: max(len(every) // 10, 1000)]
    yield "bank", Bank(every[chosen]).distances


def paintings(tested: list[Tile]) -> Iterator[tuple[list[int], list[tuple[str, Tile]]]]:
    """For each seed the tiles that stay intact, and the others with a defect."""
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(tested)).tolist()
        half = len(tested) // 2
        kinds = [DEFECTS[k % len(DEFECTS)] for k in range(half)]
        painted = [(k, paint(tested[i], k, rng)[0]) for i, k in zip(order[:half], kinds, strict=True)]
        yield order[half:], painted


def ranked(good: list[float], drawn: list[tuple[list[int], list[tuple[str, float]]]]) -> str:
    """Image AUROC over the seeds, of all painted tiles and of each kind."""
    told = []
    for name, kinds in (("all", DEFECTS), *((kind, (kind,)) for kind in DEFECTS)):
        found = [
            auroc([good[i] for i in intact], [score for kind, score in painted if kind in kinds])
            for intact, painted in drawn
        ]
        told.append(f"{name} {np.mean(found):.2f}")
    return ", ".join(told)


def trial(name: str, side: int, taps: tuple[str, ...], neighbourhood: int) -> None:
    """Print a line for each distance and share of the highest ones."""
    normal, tested = chessboard(f"{name}.png")
    net = network(taps, neighbourhood, side)

    def seen(tile: Tile) -> Patches:
        (features,) = net(resize(tile, (side, side)))
        return features.reshape(-1, features.shape[-1])

    good = [seen(tile) for tile in tested]
    drawn = [
        (intact, [(kind, seen(tile)) for kind, tile in painted]) for intact, painted in paintings(tested)
    ]
    for what, distance in distances([seen(tile) for tile in normal]):
        near = [distance(x) for x in good]
        far = [(intact, [(kind, distance(x)) for kind, x in painted]) for intact, painted in drawn]
        for share in SHARES:
            scores = [
                (intact, [(kind, mean_of_highest(d, share)) for kind, d in painted])
                for intact, painted in far
            ]
            told = ranked([mean_of_highest(d, share) for d in near], scores)
            way = f"{'+'.join(taps)}, window {neighbourhood}, {side} px, {what}, highest {share:.2%}"
            print(f"{name}: {told}  ({way})", flush=True)


def main() -> None:
    with one_blas_thread():
        for name, side, (taps, neighbourhood) in itertools.product(("gravel", "grass"), SIZES, TAPS):
            trial(name, side, taps, neighbourhood)


if __name__ == "__main__":
    main()
