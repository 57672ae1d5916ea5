"""Options that several commands share, made from records where there is one, and how texts become values."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, Final

import click

from anomalens.cli.bars import say
from anomalens.datasets.selection import Selection
from anomalens.errors import AnomalensWarning, SettingError
from anomalens.inspector.fit_options import FitOptions
from anomalens.options import flag
from anomalens.places import require_folder

Command = Callable[..., Any]

_FIELDS: Final = {f.name: f for f in fields(FitOptions)}
RUNTIME: Final = ("runtime", "precision", "threads")


def fit_options(*names: str, leave_out: Collection[str] = ()) -> Callable[[Command], Command]:
    """Options of a fit, named as in `FitOptions`; the command is given the record, as `options`.

    Without names all of them but what is left out, so that no option of a fit is missing on the command line.
    `backbone` is one more, a parameter under its own name; `--false-alarm-rate` comes with `policy`.
    """
    names = names or tuple(name for name in ("backbone", *_FIELDS) if name not in leave_out)

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_record(**given: Any) -> Any:
            values = {name: given.pop(name) for name in names}
            if "parameters" in values:
                backbone = values.pop("backbone", None)
                named = {} if backbone is None else {"backbone": backbone}
                values["parameters"] = {**key_values(values["parameters"]), **named}
            chosen = {name: value for name, value in values.items() if value is not None}
            return command(options=FitOptions(**chosen), **given)

        made: Command = with_record
        for name in reversed(names):
            more = {"policy": policy_options, "backbone": _BACKBONE}.get(name)
            made = (more or _click_option(_FIELDS[name]))(made)
        return made

    return decorate


def selection_options(command: Command) -> Command:
    """The argument DATASET and what of it is taken; the command is given a `Selection`, as `selection`."""

    @functools.wraps(command)
    def with_record(**given: Any) -> Any:
        values = {f.name: given.pop(f.name) for f in fields(Selection)}
        return command(selection=Selection(**values), **given)

    made: Command = with_record
    for f in reversed(fields(Selection)[1:]):
        made = _click_option(f)(made)
    return click.argument("dataset", metavar="DATASET")(made)


def model_argument(command: Command) -> Command:
    """The argument FILE; the command is given the model loaded, as `inspector`, with `runtime_options`."""

    @functools.wraps(command)
    def with_model(model: Path, **given: Any) -> Any:
        from anomalens.inspector import Inspector

        asked = {name: given.pop(name) for name in RUNTIME}
        return command(inspector=Inspector.load(model, **asked), **given)

    file = click.Path(path_type=Path, readable=False)
    return click.argument("model", type=file, metavar="FILE")(with_model)


def runtime_options(command: Command) -> Command:
    """`--runtime`, `--precision`, `--threads`."""
    for name in reversed(RUNTIME):
        command = _click_option(_FIELDS[name])(command)
    return command


def model_option(command: Command) -> Command:
    """`--model`: beside its path, the command is given it loaded, as `tested`; above the `fit_options`."""

    @functools.wraps(command)
    def with_model(model: Path | None, **given: Any) -> Any:
        from anomalens.inspector import Inspector

        # what was not asked for is what calibrated the model, and not the default of a fit
        asked = {name: given[name] for name in RUNTIME}
        tested = None if model is None else Inspector.load(model, **asked)
        return command(model=model, tested=tested, **given)

    return click.option(
        "--model",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Test a saved model instead of fitting.",
    )(with_model)


def _click_option(f: Field[Any]) -> Callable[[Command], Command]:
    """A field as an option; its default is shown where the help text says nothing of one."""
    about = f.metadata
    kind: dict[str, Any] = {"metavar": about["metavar"], "help": about["help"]}
    if f.name == "parameters":
        return click.option("-p", f.name, multiple=True, **kind)
    if about["limits"]:
        kind["type"] = click.IntRange(*about["limits"])
    elif about["choices"]:
        kind["type"] = click.Choice(about["choices"])
    elif about["role"] == "place":
        kind |= {"type": click.Path(path_type=Path, file_okay=False), "callback": made_folder}
    elif f.name == "size":
        kind["callback"] = _readable_size
    if f.default is not None and "[default" not in about["help"]:
        kind |= {"default": f.default, "show_default": True}
    return click.option(flag(f.name), **kind)


_BACKBONE: Final[Callable[[Command], Command]] = click.option(
    "--backbone", metavar="NAME", help="A name from `anomalens backbones`, or an ONNX file."
)
_FALSE_ALARM_RATE: Final = click.option(
    "--false-alarm-rate",
    type=float,
    metavar="R",
    help="Share of normal images that may be flagged. [default: 0.05]",
)


def policy_options(command: Command) -> Command:
    """`--false-alarm-rate` and `--policy`; the command is given one text, as `policy`."""

    @functools.wraps(command)
    def with_text(false_alarm_rate: float | None, policy: str | None, **given: Any) -> Any:
        return command(policy=policy_text(false_alarm_rate, policy), **given)

    return _FALSE_ALARM_RATE(_click_option(_FIELDS["policy"])(with_text))


def size_option(default: str) -> Callable[[Command], Command]:
    """`--size` where another one is usual than in a fit."""
    usual = _FIELDS["size"].metadata["help"].partition("[default")[0]
    return click.option("--size", callback=_readable_size, metavar="PX", help=f"{usual}[default: {default}]")


def reference_option(command: Command) -> Command:
    """`--reference`."""
    return click.option(
        "--reference",
        metavar="DIR",
        help="What each image should look like: a folder (or pattern, in quotes) of templates named like "
        "their images (x and x_template, x_test and x_temp), or one image for all.",
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


@contextmanager
def spoken_warnings() -> Iterator[None]:
    """Print our warnings as one line each on standard error, as they come."""
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        text = str(message)
        if issubclass(category, AnomalensWarning) and text not in shown:
            shown.add(text)
            say(f"warning: {text}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", AnomalensWarning)
        warnings.showwarning = show
        yield
