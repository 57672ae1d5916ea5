"""`anomalens inspect`: what a folder holds, before anything is learnt from it. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from anomalens.cli.bars import bar
from anomalens.cli.printing import count, json_text
from anomalens.cli.sources import image_set
from anomalens.cli.task_summary import benchmark_tasks, examine_tasks


@click.command(short_help="What a folder holds; changes nothing.")
@click.argument("data", nargs=-1, required=True, metavar="DATA...")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option(
    "--normals",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also learn from the normal pictures, and write a page of those that the others do not explain.",
)
def inspect(data: tuple[str, ...], as_json: bool, normals: Path | None) -> int:
    """Say what DATA holds: layout, split, sizes, duplicates, leaks, files that do not belong.

    \b
      anomalens inspect photos
      anomalens inspect photos/normal more.csv --json
      anomalens inspect photos/normal --normals look

    Exit code 2 where an image cannot be read or the same image is in training and test.
    """
    report = examine(data)
    if as_json:
        click.echo(json_text(report, indent=1))
    else:
        for line in _lines(report):
            click.echo(line)
    if normals is not None:
        from anomalens.inspector import FitOptions, Inspector
        from anomalens.reports.normals import write_normals

        images = image_set(data, normal=True)
        fitted = Inspector.fit_with(FitOptions(), images, progress=bar)
        click.echo(f"page: {write_normals(normals, images, fitted.left_out)}", err=as_json)
    return 2 if report["unreadable"] or report["leaks"] else 0


def examine(data: Sequence[str]) -> dict[str, Any]:
    """Read every image once and collect what a user should know; plain data, every key always there."""
    from anomalens.images import labelled_images, normal_images, recognise
    from anomalens.images.labels import GOOD

    tasks = benchmark_tasks(data)
    if tasks is not None:
        return examine_tasks(data[0], tasks)
    layout = None
    if len(data) == 1 and Path(data[0]).is_dir():
        layout = recognise(data[0])
    if len(data) == 1 and data[0].lower().endswith(".csv"):
        listed = image_set(data)
        learnt = {entry.id for entry in normal_images(data[0])}
        rest = [i for i, entry in enumerate(listed) if entry.id not in learnt]
        parts = {"train": listed.subset([i for i in range(len(listed)) if i not in set(rest)])}
        if rest:
            parts["test"] = listed.subset(rest)
    elif layout is None or layout.kind == "flat":
        parts = {"images": image_set(data, normal=layout is not None and not layout.doubts)}
    else:
        parts = {"train": normal_images(layout.root)}
        # classes beside each other are not split yet: their normal images are those of "train"
        labels = [label for label in layout.test if layout.kind == "mvtec" or label != GOOD]
        if labels:
            chosen = {label: layout.test[label] for label in labels}
            parts["test"] = labelled_images(replace(layout, test=chosen))
    found = {name: _read(part, name) for name, part in parts.items()}
    first = next(iter(parts.values()))
    return {
        "layout": layout.sentence if layout is not None else f"{first.origin}: a plain list of images.",
        "parts": {name: part["summary"] for name, part in found.items()},
        "sizes": _common(size for part in found.values() for size in part["sizes"]),
        "odd_sizes": [image for part in found.values() for image in part["odd_sizes"]],
        "unreadable": [line for part in found.values() for line in part["unreadable"]],
        "not_images": [name for part in parts.values() for name in part.ignored],
        "duplicates": {name: part["duplicates"] for name, part in found.items()},
        "leaks": _leaks(found),
        "split": _split(parts, found),
        "notes": [
            *(f"left out: {part.left_out_in_words}." for part in parts.values() if part.left_out),
            *(part["hint"] for part in found.values() if part["hint"]),
        ],
    }


def _read(images: Any, name: str) -> dict[str, Any]:
    from anomalens.detectors.spec import DetectorSpec
    from anomalens.errors import ImageError, InputError
    from anomalens.images.duplicates import Thumbnails, group_images
    from anomalens.images.prefetch import stream
    from anomalens.images.steps import UsedBits, highest_of
    from anomalens.inspector.fit_options import DETECTOR
    from anomalens.inspector.preparation import preparation

    thumbnails = Thumbnails()
    sizes: list[str] = []
    readable: list[int] = []
    unreadable: list[str] = []
    preparing = preparation("stretch", images, size=None, detector=DetectorSpec.parse(DETECTOR).make())
    highest: float | None = 0.0
    # as `fit` sees them, so that both find the same groups
    steps = stream(images, lambda entry: preparing.apply(entry.read(reduce_to=preparing.reduce_to)))
    for index, (_, picture) in enumerate(bar(steps, label=f"reading {name}", total=len(images))):
        if isinstance(picture, ImageError):
            unreadable.append(str(picture))
            continue
        thumbnails.add(len(readable), picture.pixels)
        readable.append(index)
        sizes.append(f"{picture.original_size[0]}×{picture.original_size[1]}")
        highest = highest_of(highest, picture.pixels)
    good = images.subset(readable)
    groups = group_images(good, thumbnails) if readable else []
    members: dict[str, list[str]] = {}
    for entry, group in zip(good, groups, strict=True):
        members.setdefault(group, []).append(entry.id)
    usual, most = Counter(sizes).most_common(1)[0] if sizes else ("", 0)
    hashes: dict[str, str] = {}
    for i, entry in enumerate(good):
        try:
            hashes[entry.id] = good.sha256(i)
        except InputError:
            continue
    labels = Counter(entry.label or "unlabelled" for entry in images)
    return {
        "summary": {
            "images": len(images),
            "labels": dict(labels),
            "masks": sum(entry.mask is not None for entry in images),
            "groups": len(members),
        },
        "sizes": sizes,
        "odd_sizes": [
            f"{good[i].id} ({size})"
            for i, size in enumerate(sizes)
            if size != usual and most >= 0.9 * len(sizes)
        ],
        "unreadable": unreadable,
        "duplicates": [group for group in members.values() if len(group) > 1],
        "hashes": hashes,
        "hint": UsedBits.hint(highest) if readable and highest is not None else None,
        "n_groups": len(members),
    }


def _common(sizes: Any) -> list[dict[str, Any]]:
    return [{"size": size, "images": n} for size, n in Counter(sizes).most_common(10)]


def _leaks(found: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """The same bytes in training and test."""
    if not {"train", "test"} <= found.keys():
        return []
    train = {digest: name for name, digest in found["train"]["hashes"].items()}
    return [
        {"train": train[digest], "test": name}
        for name, digest in found["test"]["hashes"].items()
        if digest in train
    ]


def _split(parts: dict[str, Any], found: dict[str, dict[str, Any]]) -> str:
    """How it would be used, in words."""
    from anomalens.calibration.conformal import MIN_GROUPS

    name = next(iter(parts))
    n, groups = len(parts[name]) - len(found[name]["unreadable"]), found[name]["n_groups"]
    if groups < MIN_GROUPS:
        how = f"too few to leave any out ({MIN_GROUPS} groups are needed): verdicts would be uncalibrated"
    else:
        how = (
            "each scored as if its group were left out: supports false-alarm rates from "
            f"{1 / (groups + 1):.3g}"
        )
    text = f"fit would learn from {count(n, 'image')} in {count(groups, 'group')}; {how}."
    if "test" in parts:
        text += f" For testing: {count(len(parts['test']), 'image')}."
    return text


def _lines(report: dict[str, Any]) -> list[str]:
    lines = [report["layout"]]
    for name, part in report["parts"].items():
        labels = ", ".join(f"{n} {label}" for label, n in part["labels"].items())
        lines.append(f"{name}: {count(part['images'], 'image')} ({labels}), {count(part['masks'], 'mask')}")
    lines.append("sizes: " + ", ".join(f"{s['images']} of {s['size']}" for s in report["sizes"]))
    lines.append(report["split"])
    for title, items in (
        ("odd size", report["odd_sizes"]),
        ("cannot be read", report["unreadable"]),
        ("no image", report["not_images"]),
        ("same image in training and test",
         [f"{leak['train']} = {leak['test']}" for leak in report["leaks"]]),
        ("copies or near copies",
         [" ~ ".join(group[:6]) + (" …" if len(group) > 6 else "")
          for part in report["duplicates"].values() for group in part]),
        ("note", report["notes"]),
    ):  # fmt: skip
        lines += [f"{title}: {item}" for item in items[:10]]
        if len(items) > 10:
            lines.append(f"{title}: {len(items) - 10} more (see --json)")
    return lines
