"""`anomalens preprocess`: the prepared (and augmented) images, as files with a manifest."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import click

from anomalens.cli.bars import bar


@click.command()
@click.argument("data", nargs=-1, required=True, metavar="DATA")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Where to write PNG files, manifest.csv and preprocessing.json.")
@click.option("--size", default=256, show_default=True, type=click.IntRange(2, 8192), metavar="PX")
@click.option("--preprocess", "steps", default="stretch", show_default=True, metavar="STEPS",
              help="As for `anomalens fit`.")
@click.option("--augment", metavar="KINDS", help="Also write changed copies; as for `anomalens fit`.")
@click.option("--copies", default=4, show_default=True, type=click.IntRange(1, 100))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31 - 1))
def preprocess(
    data: tuple[str, ...],
    out: Path,
    size: int,
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
    import numpy as np
    from PIL import Image

    from anomalens.errors import ImageError, InputError
    from anomalens.images import Augmentation, ImageSet, Preprocessing
    from anomalens.images.prefetch import stream

    images = ImageSet.open(data[0] if len(data) == 1 else list(data))
    preprocessing = Preprocessing.parse(steps, width=size, height=size)
    augmentation = None if augment is None else Augmentation.parse(augment)
    if out.exists() and any(out.iterdir()):
        raise InputError(f"The folder {out} is not empty; choose another --out, so nothing is mixed up.")
    out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    problems = 0
    prepared_images = stream(images, preprocessing.apply, reduce_to=preprocessing.reduce_to)
    for index, prepared in bar(prepared_images, label="preparing", total=len(images)):
        if isinstance(prepared, ImageError):
            problems += 1
            click.echo(f"ERROR  {prepared}", err=True)
            continue
        entry = images[index]
        versions = [prepared.pixels]
        if augmentation is not None:
            versions += augmentation.copies(
                prepared.pixels, image_index=index, n=copies, seed=seed
            )
        for copy, pixels in enumerate(versions):
            name = f"{index:06d}{f'-{copy}' if copy else ''}.png"
            whole = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
            Image.fromarray(whole).save(out / name)
            rows.append({
                "path": name,
                "label": entry.label or "",
                "mask": "",
                "group": entry.group or entry.id,  # copies must never be split from their original
                "source": entry.id,
            })  # fmt: skip
    with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["path", "label", "mask", "group", "source"])
        writer.writeheader()
        writer.writerows(rows)
    record = {
        "preprocessing": preprocessing.to_json(),
        "augmentation": None if augmentation is None else {**augmentation.to_json(), "copies": copies},
        "seed": seed,
    }
    (out / "preprocessing.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    click.echo(f"{len(rows)} images and manifest.csv in {out}; {problems} could not be read")
    return 2 if problems else 0
