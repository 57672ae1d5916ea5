"""Options that several commands share, and how their texts become values."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from anomalens.errors import AnomalensWarning, SettingError
from anomalens.places import require_folder

Command = Callable[..., Any]


USUAL_SIZE: Final = (
    "256, or 128 for networks that are trained on pixels; of images up to 96 px less; native on tiles"
)


def size_option(default: str = USUAL_SIZE) -> Callable[[Command], Command]:
    """`--size`; `default` says which one is used where none is given."""
    return click.option(
        "--size",
        callback=_readable_size,
        metavar="PX",
        help="Of the prepared images: their side, WIDTHxHEIGHT, or native for the size that most have. "
        f"Without tiles the packaged networks take multiples of 32. [default: {default}]",
    )


def _readable_size(context: click.Context, option: click.Parameter, text: str | None) -> int | str | None:
    """A size as `anomalens.images.sizes.read_size` takes it; a side alone becomes a whole number."""
    if text is None:
        return None
    from anomalens.images.sizes import read_size

    try:
        read_size(text)
    except SettingError as error:
        raise click.BadParameter(str(error), context, option) from None
    return int(text) if text.isdecimal() else text


def runtime_options(command: Command) -> Command:
    """`--runtime`, `--precision`, `--threads`."""
    for option in (
        click.option(
            "--threads", type=click.IntRange(1, 256), help="Threads of the network. [default: all cores]"
        ),
        click.option(
            "--precision",
            type=click.Choice(["float32", "bfloat16"]),
            help="bfloat16 is kept only where it hardly moves the scores. [default: float32]",
        ),
        click.option(
            "--runtime",
            type=click.Choice(["auto", "onnxruntime", "openvino"]),
            help="What executes the network. [default: auto, the fastest installed]",
        ),
    ):
        command = option(command)
    return command


def reference_option(command: Command) -> Command:
    """`--reference`."""
    return click.option(
        "--reference",
        metavar="DIR",
        help="What each image should look like: a folder (or pattern, in quotes) of templates named like "
        "their images (x and x_template, x_test and x_temp), or one image for all.",
    )(command)


def preparation_options(command: Command) -> Command:
    """`--preprocess`, `--augment`, `--copies`."""
    for option in (
        click.option(
            "--copies",
            default=4,
            show_default=True,
            type=click.IntRange(1, 100),
            help="Changed copies of each image, with --augment.",
        ),
        click.option(
            "--augment",
            metavar="KINDS",
            help="Also learn from changed copies: flip, rotate=15, shear=5, scale=0.1, crop=0.1, "
            "brightness=0.2.",
        ),
        click.option(
            "--preprocess",
            default="stretch",
            show_default=True,
            metavar="STEPS",
            help="Comma-separated: stretch, pad or crop; grey; standardise; background=#RRGGBB:TOLERANCE; "
            "mask=FILE.",
        ),
    ):
        command = option(command)
    return command


def task_options(command: Command) -> Command:
    """What of a dataset: `--root`, `--protocol`, `--category`, `--normal-class`, `--against`, `--shots`."""
    for option in (
        click.option("--shots", type=click.IntRange(1), metavar="K", help="Learn from K normal images only."),
        click.option("--against", metavar="DATA", help="For in-vs-out: whose test images are the anomalies."),
        click.option("--normal-class", metavar="NAME", help="One normal class of a one-vs-rest dataset."),
        click.option("--category", metavar="NAME", help="One category of a dataset that has several."),
        click.option(
            "--protocol",
            metavar="NAME",
            help="split, one-vs-rest, leave-one-class-out, in-vs-out or few-shot. [default: the dataset's]",
        ),
        click.option(
            "--root", type=click.Path(path_type=Path), metavar="DIR", help="Where named datasets are."
        ),
    ):
        command = option(command)
    return command


def feature_cache_option(command: Command) -> Command:
    """`--feature-cache`."""
    return click.option(
        "--feature-cache",
        type=click.Path(path_type=Path, file_okay=False),
        callback=made_folder,
        metavar="DIR",
        help="Keep features of image-level detectors here: each image passes the network once for all of "
        "them, and times on the cards leave it out. [default: none]",
    )(command)


def checkpoints_option(command: Command) -> Command:
    """`--checkpoints`."""
    return click.option(
        "--checkpoints",
        type=click.Path(path_type=Path, file_okay=False),
        callback=made_folder,
        metavar="DIR",
        help="Keep trainings of networks here: one that was stopped goes on, one that ended is not repeated. "
        "[default: none]",
    )(command)


def made_folder(context: click.Context, option: click.Parameter, folder: Path | None) -> Path | None:
    """A folder to keep something in, made where it is not there."""
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"The folder {folder} of {option.opts[0]} cannot be made: {error.strerror}."
        ) from None
    require_folder(folder, option.opts[0])
    return folder.resolve()


def policy_options(command: Command) -> Command:
    """`--false-alarm-rate` and `--policy`."""
    for option in (
        click.option(
            "--policy",
            metavar="P",
            help="Another way to the threshold: quantile=0.995, max, mean-sigma=3, pareto=0.001; with "
            "labelled anomalies f1 or youden.",
        ),
        click.option(
            "--false-alarm-rate",
            type=float,
            metavar="R",
            help="Share of normal images that may be flagged. [default: 0.01]",
        ),
    ):
        command = option(command)
    return command


def policy_text(false_alarm_rate: float | None, policy: str | None) -> str | None:
    """One policy from the two options."""
    if false_alarm_rate is not None and policy is not None:
        raise SettingError(
            "Both --false-alarm-rate and --policy were given; give one of them, they choose the same "
            "threshold."
        )
    return policy if false_alarm_rate is None else f"false-alarm-rate={false_alarm_rate!r}"


def key_values(pairs: Iterable[str]) -> dict[str, str]:
    """`KEY=VALUE` texts as a dictionary."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise SettingError(f"The parameter {pair!r} has no value; write -p KEY=VALUE.")
        found[key.strip().replace("-", "_")] = value.strip()
    return found


@contextmanager
def spoken_warnings() -> Iterator[None]:
    """Print our warnings as one line each on standard error, as they come."""
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        text = str(message)
        if issubclass(category, AnomalensWarning) and text not in shown:
            shown.add(text)
            click.echo(f"warning: {text}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", AnomalensWarning)
        warnings.showwarning = show
        yield
