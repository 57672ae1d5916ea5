"""The options of a fit, as one record that the command line, suites, sweeps and result cards share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anomalens.options import option, settings_of, text_of, words

if TYPE_CHECKING:
    from anomalens.calibration import Policy
    from anomalens.images.augment import Augmentation
    from anomalens.images.preprocess import Preprocessing
    from anomalens.images.sizes import Size

DETECTOR: Final = "auto"  # where nobody chose
TEMPLATE: Final = "template"  # and where there are references


@dataclass(frozen=True)
class FitOptions:
    """How a detector is fitted; see `Inspector.fit` for what each may be."""

    detector: str | None = option(
        None,
        "See `anomalens detectors`; combine:A,B fuses several, tiled:A cuts large images into tiles. "
        f"[default: {DETECTOR}, or {TEMPLATE} with references]",
        metavar="NAME",
    )
    parameters: Mapping[str, Any] = option(
        dict, "A parameter of the detector; repeat for more.", metavar="KEY=VALUE"
    )
    size: Size | None = option(
        None,
        "Of the prepared images: their side, WIDTHxHEIGHT, or native for the size that most have; rounded to "
        "what the network takes. [default: by --quality; native on tiles]",
        metavar="PX",
    )
    quality: str | None = option(
        None,
        "How many pixels the network sees, in the images' shape and never more than they have: as many as "
        "a square of 256 (fast), 384 (balanced) or 640 px (best). [default: balanced; fast for detectors of "
        "the whole image; networks trained on pixels see 128 px]",
        choices=("fast", "balanced", "best"),
    )
    ms: int | None = option(
        None,
        "Instead of a quality: milliseconds that a check of one image may take on this machine. Fits, "
        "measures, and fits once more where another size suits that better.",
        metavar="MS",
        limits=(1, 60_000),
    )
    tile: int | None = option(
        None,
        "For images of many megapixels: learn from tiles of this side (256 is usual), and check tile by "
        "tile, so that small faults keep their size.",
        metavar="PX",
        limits=(32, 2048),
        role="own",  # cards tell it among the parameters
    )
    overlap: int | None = option(
        None,
        "What neighbouring tiles share at least. [default: 32]",
        metavar="PX",
        limits=(0, 1024),
        role="own",
    )
    preprocess: str | Preprocessing = option(
        "stretch",
        "Comma-separated: stretch, pad or crop; grey; standardise; bits=12 for such a camera's 16-bit files; "
        "background=#RRGGBB:TOLERANCE; mask=FILE.",
        metavar="STEPS",
    )
    augment: str | Augmentation | None = option(
        None,
        "Also learn from changed copies: flip, rotate=15, shear=5, scale=0.1, crop=0.1, brightness=0.2.",
        metavar="KINDS",
    )
    copies: int = option(4, "Changed copies of each image, with --augment.", limits=(1, 100))
    groups: str = option(
        "found",
        "What is left out together when calibrating: copies, near copies and frames of a film that are "
        "found, or only what a manifest's column `group` declares.",
        choices=("found", "declared"),
    )
    captures: str = option(
        "declared",
        "Days, shifts or cameras, which a manifest's column `capture` declares or the images' folders are: "
        "each is scored by a model that has seen none of it, so that the threshold knows how much they "
        "differ.",
        choices=("declared", "folders"),
    )
    p_values: str = option(
        "pooled",
        "Whether an image is compared with all normal ones, or with those of its own class (a camera, a "
        "shelf, a product; a manifest's column `class`) where there are at least 16.",
        choices=("pooled", "class"),
    )
    policy: str | Policy | None = option(
        None,
        "Another way to the threshold: quantile=0.995, max, mean-sigma=3, pareto=0.001; with labelled "
        "anomalies f1 or youden.",
        metavar="P",
    )
    runtime: str = option(
        "auto",
        "What executes the network. [default: auto, the fastest installed]",
        choices=("auto", "onnxruntime", "openvino"),
    )
    precision: str = option(
        "float32",
        "bfloat16 is kept only where it hardly moves the scores. [default: float32]",
        choices=("float32", "bfloat16"),
    )
    threads: int | None = option(None, "Threads of the network. [default: all cores]", limits=(1, 256))
    seed: int = option(
        0,
        "Same images, same seed, same runtime: the same model.",
        metavar="N",
        limits=(0, 2**31 - 1),
        role="own",  # a key of its own on cards
    )
    keep_thumbnails: int = option(
        0,
        "Put small pictures (96 px, about 3 kB) of at most N normal images into FILE, for the pages of "
        "`check --out`. [default: none]",
        metavar="N",
        limits=(0, 2000),
        role="own",
    )
    feature_cache: Path | None = option(
        None,
        "Keep features of image-level detectors here: each image passes the network once for all of them, "
        "and times on the cards leave it out. [default: none]",
        metavar="DIR",
        role="place",
    )
    checkpoints: Path | None = option(
        None,
        "Keep trainings of networks here: one that was stopped goes on, one that ended is not repeated. "
        "[default: none]",
        metavar="DIR",
        role="place",
    )

    def to_json(self) -> dict[str, Any]:
        """The settings on a result card."""
        return {f.name: getattr(self, f.name) for f in settings_of(self)}

    def words(self) -> list[str]:
        """The options as `anomalens evaluate` takes them; detector and seed are always among them."""
        always = ["--detector", self.detector or DETECTOR, "--seed", str(self.seed)]
        size = [] if self.size is None else ["--size", text_of(self.size).replace(",", "x")]
        others = words(self, leave_out=("detector", "seed", "size", "parameters"))
        given = (("-p", f"{key}={text_of(value)}") for key, value in self.parameters.items())
        return [*size, *always, *others, *(word for pair in given for word in pair)]
