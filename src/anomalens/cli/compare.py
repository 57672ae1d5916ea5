"""`anomalens compare`: paired differences and ranks from result cards."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("cards", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CARDS...")
@click.option(
    "--reference",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE.md",
    help="A table of published figures to print beside, such as docs/reference-results.md.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.md",
    help="Write the tables to a file too.",
)
def compare(cards: tuple[Path, ...], reference: Path | None, out: Path | None) -> int:
    """Compare detectors on the same images.

    CARDS are files that `evaluate --json` wrote, or folders of them.

    Differences are of image AUROC on the same images, with DeLong's 95 % interval and test. Cards of one
    detector give their table of results.

    \b
      anomalens evaluate data/transistor --detector patchcore --detector other --json cards.json
      anomalens compare cards.json
    """
    from anomalens.errors import InputError
    from anomalens.evaluation.cards import read_cards
    from anomalens.evaluation.compare import compare_cards, published_rows
    from anomalens.evaluation.results_table import results_table
    from anomalens.places import require_place, write_text

    if out is not None:
        require_place(out, "--out")
    read = read_cards(list(cards))
    if not read:
        raise InputError(
            f"There is no result card in {', '.join(map(str, cards))}; run  anomalens evaluate … --json FILE."
        )
    try:
        compared = compare_cards(read).to_markdown()
    except InputError as error:  # no two detectors share a task: there are figures all the same
        compared = f"{error}\n"
    text = results_table(read) + "\n" + compared
    if reference is not None:
        text += "\n" + "\n".join(published_rows(reference, read)) + "\n"
    if out is not None:
        write_text(out, text)
    click.echo(text)
    return 0
