"""Any ONNX file as a backbone.

The file is brought to the one form that everything else relies on: an input `image`, float32
[n, 3, h, w], and taps that are maps [n, c, h', w']. Nothing is retrained or guessed: the graph is
run once on a black image, and what it gives is compared with what its card says.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from anomalens.backbones.card import INPUT_NAME, BackboneCard, Tap, check_taps
from anomalens.backbones.foreign_data import check_self_contained
from anomalens.backbones.graph_description import DescribedTap, Description, read_description
from anomalens.backbones.graph_surgery import FLOAT, Graph
from anomalens.backbones.runtimes import Runtime, trial_outputs
from anomalens.errors import BackboneError, unknown_name

MAX_GRAPH_BYTES: Final = 2 * 10**9
LOWEST_OPSET: Final = 11
# The user's names live under this prefix, so that no name of ours can meet one of theirs.
_PREFIX: Final = "net/"
_TO_THE_END: Final = 2**63 - 1


@dataclass(frozen=True)
class UserGraph:
    """A checked ONNX file; `load` makes one."""

    card: BackboneCard
    _description: Description
    _data: bytes

    @classmethod
    def load(cls, path: Path | str, *, card: Path | str | None = None) -> UserGraph:
        """Read and check an ONNX file and its card.

        Parameters
        ----------
        path : Path or str
            The file, at most 2 GB, with all of its weights inside, opset 11 or later.
        card : Path or str, optional
            Its JSON card; None is the file with the suffix `.json` beside it.

        Raises
        ------
        BackboneError
            If the file or its card cannot be used, or they contradict each other.
        SettingError
            If the card names a tensor or an option that does not exist; suggests the nearest.
        """
        path = Path(path)
        description = read_description(Path(card) if card else path.with_suffix(".json"))
        data = _read(path)
        try:
            check_self_contained(data)
            edited = Graph.parse(data)
            _check_model(data, edited.opset)
            normal, size, fixed = _normalized(edited, description)
            taps = _measured_taps(normal, description, size)
            multiple = description.multiple or math.lcm(*(tap.stride for tap in taps))
            found = BackboneCard(
                name=description.name,
                source=description.source or path.name,
                licence=description.licence,
                sha256=hashlib.sha256(data).hexdigest(),
                taps=tuple(taps),
                mean=(description.mean[0], description.mean[1], description.mean[2]),
                std=(description.std[0], description.std[1], description.std[2]),
                size=size,
                multiple=1 if fixed else multiple,
                fixed=fixed,
            )
        except BackboneError as problem:
            raise BackboneError(f"{path.name}: {problem}") from None
        return cls(found, description, normal)

    def graph(self, taps: Sequence[str]) -> bytes:
        """The part of the file that computes these taps; see `Backbone.graph`."""
        asked = check_taps(self.card, taps)
        described = {tap.name: tap for tap in self._description.taps}
        edited = Graph.parse(self._data)
        for number, tap in enumerate(asked):
            value = _PREFIX + described[tap.name].tensor
            if described[tap.name].kind == "tokens":
                value = _token_map(edited, value, described[tap.name].skip, tap.stride, number)
            edited.add("Identity", [value], tap.name)
        return edited.finish([(tap.name, ["n", tap.channels, None, None]) for tap in asked])


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise BackboneError(f"There is no ONNX file {path}.")
        if path.stat().st_size > MAX_GRAPH_BYTES:
            raise BackboneError(f"{path.name} is larger than the 2 GB that an ONNX file may have.")
        return path.read_bytes()
    except OSError as problem:
        raise BackboneError(f"The ONNX file {path} cannot be read: {problem}.") from None


def _check_model(data: bytes, opset: int) -> None:
    from onnx import checker

    if opset < LOWEST_OPSET:
        raise BackboneError(
            f"The graph has opset {opset}; {LOWEST_OPSET} or later is needed: export it with opset 17."
        )
    try:
        checker.check_model(data)
    except Exception as problem:  # ValidationError, or protobuf's own classes
        reason = next((line for line in str(problem).splitlines() if line.strip()), "no reason")
        raise BackboneError(f"onnx's checker refuses the graph ({reason[:200]}): export it again.") from None


def _normalized(edited: Graph, description: Description) -> tuple[bytes, tuple[int, int], bool]:
    """The model with its names prefixed and the input `image`; its default size; if it is fixed."""
    from onnx import compose

    entry = _entry(edited, description)
    sides = _sides(entry, description)
    size, fixed = _agreed_size(sides, description)
    known = edited.tensors()
    for tap in description.taps:
        if tap.tensor not in known:
            raise unknown_name("tensor in the graph", tap.tensor, known)
    batch = entry.type.tensor_type.shape.dim[0].dim_value or "n"
    if batch not in ("n", 1):
        raise BackboneError(
            f"The graph takes batches of exactly {batch} images; 1 or any number is needed: "
            "export it with a dynamic batch."
        )
    renamed = Graph(compose.add_prefix(edited.model, _PREFIX))
    renamed.replace_input(
        _PREFIX + entry.name,
        [batch, 3, *size] if fixed else [batch, 3, "h", "w"],
        channels_last=description.layout == "NHWC",
    )
    tensors = dict.fromkeys(tap.tensor for tap in description.taps)
    return renamed.finish([(_PREFIX + name, None) for name in tensors]), size, fixed


def _entry(edited: Graph, description: Description) -> Any:
    entries = {value.name: value for value in edited.inputs()}
    if description.input is not None and description.input not in entries:
        raise unknown_name("input of the graph", description.input, entries)
    if len(entries) != 1:
        raise BackboneError(
            f"The graph has {len(entries)} inputs ({', '.join(sorted(entries)[:5])}); one, the "
            "image, is needed."
        )
    entry = next(iter(entries.values()))
    if entry.type.tensor_type.elem_type != FLOAT:
        raise BackboneError(
            f"The graph's input {entry.name!r} is not float32: export the network in float32."
        )
    if len(entry.type.tensor_type.shape.dim) != 4:
        raise BackboneError(
            f"The graph's input {entry.name!r} does not have the four dimensions of a batch of images."
        )
    return entry


def _sides(entry: Any, description: Description) -> tuple[int, int]:
    """Height and width of the input; 0 where it is dynamic."""
    dims = [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
    axis = description.layout.index("C")
    other = {"NCHW": "NHWC", "NHWC": "NCHW"}[description.layout]
    swapped = dims[other.index("C")] == 3
    if dims[axis] not in (0, 3) or (swapped and dims[axis] != 3):
        hint = f'set "layout" to "{other}"' if swapped else "three colours are needed"
        raise BackboneError(
            f"The graph's input has the shape {[d or '?' for d in dims]}, which does not have 3 "
            f"channels in the layout {description.layout}: {hint}."
        )
    return dims[description.layout.index("H")], dims[description.layout.index("W")]


def _agreed_size(sides: tuple[int, int], description: Description) -> tuple[tuple[int, int], bool]:
    stated = description.size
    if stated is None:
        if not all(sides):
            raise BackboneError('The graph takes images of any size: add the entry "size" to its card.')
        stated = sides
    if any(side not in (0, want) for side, want in zip(sides, stated, strict=True)):
        raise BackboneError(
            f"The graph takes images of {sides[0] or '?'}×{sides[1] or '?'} pixels "
            f"(height×width), but its card says {stated[0]}×{stated[1]}: correct the card."
        )
    return stated, any(sides)


def _measured_taps(normal: bytes, description: Description, size: tuple[int, int]) -> list[Tap]:
    tensors = list(dict.fromkeys(tap.tensor for tap in description.taps))
    values = trial_outputs(normal, runtime=Runtime(), input_size=size)
    by_name = dict(zip(tensors, values, strict=True))
    return [_measured(tap, by_name[tap.tensor], size) for tap in description.taps]


def _measured(tap: DescribedTap, value: np.ndarray, size: tuple[int, int]) -> Tap:
    shape = list(value.shape)
    if value.dtype != np.float32:
        raise BackboneError(f"The tap {tap.name!r} is {value.dtype}; float32 is needed.")
    rank, form = (4, "[n, c, h, w]") if tap.kind == "map" else (3, "[n, skip + h·w, c]")
    if value.ndim != rank:
        raise BackboneError(
            f"The tap {tap.name!r} has the shape {shape}; {tap.kind} must be {form}: choose "
            "another tensor or another kind."
        )
    stride = tap.stride
    if tap.kind == "tokens":
        channels = shape[2]
        stride = stride or _token_stride(tap, shape[1] - tap.skip, size)
        grid = (size[0] // stride, size[1] // stride)
        if grid[0] * grid[1] != shape[1] - tap.skip:
            raise BackboneError(
                f"The tap {tap.name!r} has {shape[1]} tokens, of which {tap.skip} are skipped, but "
                f'stride {stride} needs {grid[0]}×{grid[1]}: correct "skip" or "stride".'
            )
    else:
        channels = shape[1]
        found = [max(1, round(side / cells)) for side, cells in zip(size, shape[2:], strict=True)]
        stride = stride or found[0]
        # Networks that do not pad give slightly fewer positions than size / stride.
        if any(not 0.8 <= step / stride <= 1.25 for step in found):
            raise BackboneError(
                f"The tap {tap.name!r} has the shape {shape} for an image of {size[0]}×{size[1]} "
                f"pixels, which is no map [n, c, h, w] of stride {stride}: correct the stride, or "
                "export the network channels-first."
            )
    if tap.channels not in (None, channels):
        raise BackboneError(
            f"The tap {tap.name!r} has {channels} channels, but its card says {tap.channels}: "
            "correct the card."
        )
    return Tap(tap.name, channels, stride)


def _token_stride(tap: DescribedTap, tokens: int, size: tuple[int, int]) -> int:
    if tokens > 0:
        stride = round(math.sqrt(size[0] * size[1] / tokens))
        if stride and (size[0] // stride) * (size[1] // stride) == tokens:
            return stride
    raise BackboneError(
        f"The tap {tap.name!r} has {tokens} tokens after the {tap.skip} skipped, which do not form "
        f'a grid over {size[0]}×{size[1]} pixels: correct "skip", for example 1 for a class token.'
    )


def _token_map(edited: Graph, value: str, skip: int, stride: int, number: int) -> str:
    """[n, skip + h·w, c] → [n, c, h, w], for whatever size the image has."""
    stem = f"tokens{number}"

    def integers(name: str, *values: int) -> str:
        return edited.constant(f"{stem}/{name}", np.array(values, np.int64))

    if skip:
        bounds = [integers("skip", skip), integers("end", _TO_THE_END), integers("axis", 1)]
        value = edited.add("Slice", [value, *bounds], f"{stem}/patches")
    value = edited.add("Transpose", [value], f"{stem}/first", perm=[0, 2, 1])
    shape = edited.add("Shape", [INPUT_NAME], f"{stem}/shape")
    bounds = [integers("from", 2), integers("to", 4), integers("of", 0)]
    sides = edited.add("Slice", [shape, *bounds], f"{stem}/sides")
    grid = edited.add("Div", [sides, integers("stride", stride)], f"{stem}/grid")
    target = edited.add("Concat", [integers("keep", 0, 0), grid], f"{stem}/target", axis=0)
    return edited.add("Reshape", [value, target], f"{stem}/map")
