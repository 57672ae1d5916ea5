"""`anomalens preprocess`: the prepared (and augmented) images, as files with a manifest."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from anomalens.cli.bars import bar, say
from anomalens.cli.options import size_option
from anomalens.cli.printing import count
from anomalens.cli.sources import usable_images
from anomalens.errors import InputError
from anomalens.places import written_beside

if TYPE_CHECKING:
    from anomalens.images import ImageEntry, Pixels


@click.command(short_help="The prepared (and augmented) images, as files.")
@click.argument("data", nargs=-1, required=True, metavar="DATA...")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where to write PNG files, manifest.csv and preprocessing.json.",
)
@size_option("256")
@click.option(
    "--preprocess",
    "steps",
    default="stretch",
    show_default=True,
    metavar="STEPS",
    help="As for `anomalens fit`.",
)
@click.option("--augment", metavar="KINDS", help="Also write changed copies; as for `anomalens fit`.")
@click.option(
    "--copies",
    default=4,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Changed copies of each image, with --augment.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**31 - 1),
    metavar="N",
    help="Same images, same seed: the same copies.",
)
def preprocess(
    data: tuple[str, ...],
    out: Path,
    size: int | str | None,
    steps: str,
    augment: str | None,
    copies: int,
    seed: int,
) -> int:
    """Write the images of DATA as a model would see them.

    \b
      anomalens preprocess photos --out prepared --preprocess pad,grey,standardise
      anomalens preprocess photos --out more --augment flip,rotate=15 --copies 8
    """
    from anomalens.errors import ImageError
    from anomalens.images import Augmentation, Preprocessing
    from anomalens.images.prefetch import stream
    from anomalens.images.sizes import SIDE, prepared_size

    images, unusable = usable_images(data)
    for error in unusable:
        click.echo(f"error: {error}", err=True)
    problems = len(unusable)
    width, height = prepared_size(SIDE if size is None else size, images)
    preprocessing = Preprocessing.parse(steps, width=width, height=height)
    augmentation = None if augment is None else Augmentation.parse(augment)
    rows: list[dict[str, str]] = []
    sources: dict[str, str] = {}
    prepared_images = stream(
        images, lambda entry: preprocessing.apply(entry.read(reduce_to=preprocessing.reduce_to))
    )
    with _appearing(out) as folder:
        each = bar(prepared_images, label="preparing", total=len(images))
        for index, (entry, prepared) in enumerate(each):
            if isinstance(prepared, ImageError):
                problems += 1
                say(f"ERROR  {prepared}", err=True)
                continue
            versions = [prepared.pixels]
            if augmentation is not None:
                versions += augmentation.copies(prepared.pixels, image_index=index, n=copies, seed=seed)
            for copy, pixels in enumerate(versions):
                name = f"{index:06d}{f'-{copy}' if copy else ''}.png"
                _save(pixels, folder / name)
                rows.append(_manifest_row(name, entry))
                sources[name] = entry.id
        _write_manifest(folder / "manifest.csv", rows)
        record = {
            "preprocessing": preprocessing.to_json(),
            "augmentation": None if augmentation is None else {**augmentation.to_json(), "copies": copies},
            "seed": seed,
            "sources": sources,
        }
        (folder / "preprocessing.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    click.echo(f"{count(len(rows), 'image')} and manifest.csv in {out}; {problems} could not be read")
    return 2 if problems else 0


def _manifest_row(name: str, entry: ImageEntry) -> dict[str, str]:
    return {
        "path": name,
        "label": entry.label or "",
        "mask": "",
        "group": entry.group or entry.id,  # copies must never be split from their original
    }


def _save(pixels: Pixels, path: Path) -> None:
    import numpy as np
    from PIL import Image

    Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)).save(path)


def _write_manifest(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, ["path", "label", "mask", "group"])
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out` that takes its name at the end; a stopped run leaves nothing."""
    if out.exists() and any(out.iterdir()):
        raise InputError(f"The folder {out} is not empty; choose another --out, so nothing is mixed up.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(out) as hidden:
            hidden.mkdir()
            yield hidden
    except OSError as error:
        raise InputError(
            f"The images cannot be written to {out} ({error.strerror or error}); choose another --out."
        ) from None
