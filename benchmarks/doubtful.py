"""Three defects hidden among the normal papers: `python benchmarks/doubtful.py`.

For each of six papers three impure pictures (first, middle and last of the test part) are put among the 32
clean ones, `auto` is fitted, and what `fit` would name as doubtful is counted; and so for the clean ones
alone.
"""

from __future__ import annotations

import warnings

from real_sets import DATA, PAPERS

from anomalens import ImageSet, Inspector
from anomalens.errors import AnomalensWarning
from anomalens.inspector.doubtful import doubtful


def main() -> None:
    warnings.simplefilter("ignore", AnomalensWarning)
    for paper in PAPERS:
        folder = DATA / "paper_piped" / paper
        clean = sorted((folder / "train" / "good").iterdir())
        impure = sorted((folder / "test" / "impurity").iterdir())
        hidden = [impure[0], impure[len(impure) // 2], impure[-1]]
        named = doubtful(Inspector.fit(ImageSet.from_paths([*clean, *hidden])).left_out)
        alone = doubtful(Inspector.fit(ImageSet.from_paths(clean)).left_out)
        found = sum(path.as_posix() in named for path in hidden)
        print(
            f"{paper}: {found} of 3 named, and {len(named) - found} of {len(clean)} clean ones; "
            f"of the clean ones alone {len(alone)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
