"""`anomalens datasets`: what is known by name, how to get it, and what of it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from anomalens.cli.bars import bar
from anomalens.cli.printing import count, json_text


@click.command(short_help="The datasets known by name, and how to get them.")
@click.argument("name", required=False)
@click.option("--root", type=click.Path(path_type=Path), metavar="DIR", help="Where datasets were unpacked.")
@click.option(
    "--download",
    is_flag=True,
    help="Fetch NAME into --root, where a stable address with a checksum is known.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def datasets(name: str | None, root: Path | None, download: bool, as_json: bool) -> int:
    """List the datasets known by name; of one NAME say how to get it and what was found.

    \b
      anomalens datasets
      anomalens datasets mvtec-ad --root data
      anomalens datasets mnist --root data --download

    `anomalens evaluate` takes these names with --root, and any folder, manifest, .npz or .tar by its path.
    """
    from anomalens.datasets import dataset_rows
    from anomalens.datasets.load import known_dataset
    from anomalens.errors import SettingError

    if download:
        if name is None or root is None:
            raise SettingError(
                "To download, name one dataset and where to put it: NAME --root DIR --download."
            )
        from anomalens.datasets.download import download_dataset

        for path in download_dataset(known_dataset(name), root, progress=bar):
            click.echo(f"fetched and checked: {path}", err=True)
    known = known_dataset(name) if name is not None else None
    rows = dataset_rows(root)
    if known is not None:
        rows = [row for row in rows if row["name"] == known.name]
        rows[0]["tasks"] = _tasks(known.name, root) if rows[0]["installed"] else []
    if as_json:
        click.echo(json_text(rows if known is None else rows[0], indent=1))
        return 0
    if known is None:
        for row in rows:
            absent = "not found" if root else "not installed"
            state = f"found in {row['path']}" if row["installed"] else absent
            click.echo(f"{row['name']}  ({row['protocol']}; {state})")
            click.echo(f"    {row['what']}")
        click.echo("anomalens datasets NAME says how to get one; any folder, .csv, .npz or .tar works too")
        return 0
    for line in _card(rows[0]):
        click.echo(line)
    return 0


def _tasks(name: str, root: Path | None) -> list[dict[str, Any]]:
    from anomalens.datasets import load_tasks

    return [
        {
            "task": task.name,
            "train": len(task.train),
            "test": len(task.test),
            "anomalous": sum(entry.label != "good" for entry in task.test),
            "masks": sum(entry.mask is not None for entry in task.test),
            "notes": list(task.notes),
        }
        for task in load_tasks(name, root=root)
    ]


def _card(row: dict[str, Any]) -> list[str]:
    lines = [
        f"{row['name']}: {row['what']}",
        f"terms:    {row['licence']}",
        f"page:     {row['page']}",
        f"fetch:    {row['fetch']}",
        f"layout:   {row['layout']}",
        f"protocol: {row['protocol']}",
    ]
    if row["package"]:
        lines.append(f"package:  {row['package']}")
    lines += [f"address:  {one['url']} (SHA-256 {one['sha256']})" for one in row["downloads"]]
    if row["downloads"]:
        lines.append(f"or:       anomalens datasets {row['name']} --root DIR --download")
    if not row["installed"]:
        return [*lines, "found:    nothing; unpack it and give --root the folder"]
    lines.append(f"found:    {row['path']}")
    for task in row["tasks"]:
        lines.append(
            f"    {task['task']}: learn from {count(task['train'], 'image')}, test with {task['test']} "
            f"({task['anomalous']} anomalous, {count(task['masks'], 'mask')})"
        )
    notes = dict.fromkeys(note for task in row["tasks"] for note in task["notes"])
    return lines + [f"note:     {note}" for note in notes]
