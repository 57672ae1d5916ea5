"""Whatever the bytes, a model file gives an inspector or one InputError, in little memory."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomalens.bundle import Bundle, read_bundle, write_bundle

RELAXED = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
Place = tuple[str | int, ...]
# JSON has no way to say infinity, but this number is read as one.
INFINITE = "1e999"
STRANGERS: list[Any] = [
    None, True, 0, -1, 3, 1.5, 1e308, 10**400, INFINITE, "", "nan", "max", [], [[]], [None], {},
    {"kind": "resize"},
]  # fmt: skip


def pack(card: dict[str, Any] | bytes, members: dict[str, bytes], *, rehash: bool = True) -> bytes:
    """A model file around a card: with the right hashes, as a careful stranger would make it."""
    files = {name: data for name, data in members.items() if name != "card.json"}
    if isinstance(card, bytes):
        text = card
    else:
        hashes = {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        }
        text = json.dumps({**card, "files": hashes} if rehash else card).encode()
        text = text.replace(f'"{INFINITE}"'.encode(), INFINITE.encode())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = hashlib.sha256(text).hexdigest().encode()
        for name, data in {"card.json": text, **files}.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Every key of nested JSON, and the first item of each list."""
    if place:
        yield place
    items: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value[:1])
    for key, inner in items:
        yield from places(inner, (*place, key))


def changed(card: dict[str, Any], place: Place, *value: Any) -> dict[str, Any]:
    """A copy of the card with one value replaced, or deleted where none is given."""
    edited: Any = copy.deepcopy(card)
    parent = edited
    for key in place[:-1]:
        parent = parent[key]
    if value:
        parent[place[-1]] = value[0]
    else:
        del parent[place[-1]]
    whole: dict[str, Any] = edited
    return whole


def test_the_small_model_loads_also_when_packed_again(
    model: bytes, card: dict[str, Any], members: dict[str, bytes], load: Callable[[bytes], str]
) -> None:
    assert load(model) == "loaded"
    assert load(pack(card, members)) == "loaded"


@RELAXED
@given(data=st.binary(max_size=2000), start=st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06"]))
def test_random_bytes(data: bytes, start: bytes, load: Callable[[bytes], str]) -> None:
    assert load(start + data) != "loaded"


@RELAXED
@given(data=st.data())
def test_cut_anywhere(data: st.DataObject, model: bytes, load: Callable[[bytes], str]) -> None:
    assert load(model[: data.draw(st.integers(0, len(model) - 1))]) != "loaded"


@RELAXED
@given(data=st.data())
def test_flipped_bytes_are_found(data: st.DataObject, model: bytes, load: Callable[[bytes], str]) -> None:
    """Hashes cover all contents; only a few fields of zip (dates, attributes) mean nothing."""
    edited = bytearray(model)
    for place in data.draw(st.lists(st.integers(0, len(model) - 1), min_size=1, max_size=4)):
        edited[place] ^= data.draw(st.integers(1, 255))
    if load(bytes(edited)) == "loaded":
        with zipfile.ZipFile(io.BytesIO(edited)) as one, zipfile.ZipFile(io.BytesIO(model)) as two:
            assert one.namelist() == two.namelist()
            assert all(one.read(name) == two.read(name) for name in two.namelist())


@RELAXED
@given(data=st.data())
def test_spliced_bytes(data: st.DataObject, model: bytes, load: Callable[[bytes], str]) -> None:
    ends = st.integers(0, len(model))
    load(model[: data.draw(ends)] + data.draw(st.binary(max_size=64)) + model[data.draw(ends) :])


@RELAXED
@given(data=st.data())
def test_huge_numbers_in_the_zip_structures(
    data: st.DataObject, model: bytes, load: Callable[[bytes], str]
) -> None:
    edited = bytearray(model)
    tail = model.index(b"PK\x01\x02")
    for place in data.draw(st.lists(st.integers(tail, len(model) - 5), min_size=1, max_size=5)):
        width = data.draw(st.sampled_from([1, 2, 4]))
        edited[place : place + width] = data.draw(st.sampled_from([b"\xff", b"\x7f", b"\0"])) * width
    load(bytes(edited))


def test_every_key_of_the_card_deleted(
    card: dict[str, Any], members: dict[str, bytes], load: Callable[[bytes], str]
) -> None:
    results = {place: load(pack(changed(card, place), members)) for place in places(card)}
    needed = ["calibration", "preprocessing", "state", "size", "golden", "data", "format", "notes"]
    assert [key for key in needed if results[(key,)] == "loaded"] == []


TOP_LEVEL = [
    "format", "format_version", "detector", "size", "augmentation", "seed", "golden",
    "calibrated_on", "data", "kind", "versions", "notes", "preprocessing", "calibration", "runtime",
    "state",
]  # fmt: skip


def test_every_part_of_the_card_is_fuzzed(card: dict[str, Any]) -> None:
    assert set(TOP_LEVEL) == set(card) - {"files"}


@pytest.mark.parametrize("key", TOP_LEVEL)
def test_every_value_of_the_card_replaced(
    key: str, card: dict[str, Any], members: dict[str, bytes], load: Callable[..., str]
) -> None:
    for place in places(card):
        if place[0] != key:
            continue
        shapes_memory = key in ("size", "preprocessing", "state") and "backbone" not in place
        for stranger in STRANGERS:
            load(pack(changed(card, place, stranger), members), measure=shapes_memory)


def test_the_list_of_files_edited(
    card: dict[str, Any], members: dict[str, bytes], load: Callable[[bytes], str]
) -> None:
    for place in places(card):
        if place[0] != "files" or place[-1] == "bytes":
            continue
        for stranger in STRANGERS:
            edited = pack(changed(card, place, stranger), members, rehash=False)
            assert load(edited) != "loaded", (place, stranger)


@RELAXED
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=6,
    ),
    data=st.data(),
)  # fmt: skip
def test_any_json_anywhere_in_the_card(
    value: Any,
    data: st.DataObject,
    card: dict[str, Any],
    members: dict[str, bytes],
    load: Callable[[bytes], str],
) -> None:
    place = data.draw(st.sampled_from([place for place in places(card) if place[0] != "files"]))
    load(pack(changed(card, place, value), members))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"null", b"[]", b"\xff\xfe", b'"x"', b"{", b'{"format": "anomalens"}',
        b'{"format": "anomalens", "format_version": true}', b'{"format": "anomalens", "x": NaN}',
        b'{"format": "anomalens", "format_version": 1}',
        b'{"format": "anomalens", "format_version": 1' + b"0" * 6000 + b"}",
        b"[" * 200_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"format":"anomalens","format_version":1,"x":' + b"[" * 99_000 + b"]" * 99_000 + b"}",
    ],
    ids=range(14),
)  # fmt: skip
def test_cards_that_are_none(text: bytes, members: dict[str, bytes], load: Callable[[bytes], str]) -> None:
    assert load(pack(text, members)) != "loaded"


def test_a_newer_version_says_so(
    card: dict[str, Any], members: dict[str, bytes], load: Callable[[bytes], str]
) -> None:
    result = load(pack({**card, "format_version": 2}, members))
    assert "newer Anomalens (format 2, this one reads up to 1)" in result
    assert "pip install --upgrade anomalens" in result


def test_an_edited_card_is_noticed(
    model: bytes, members: dict[str, bytes], load: Callable[[bytes], str]
) -> None:
    text = members["card.json"].replace(b'"seed": 0', b'"seed": 7')
    edited = bytearray(pack(text, members))
    edited[-64:] = model[-64:]  # the comment that holds the card's hash
    assert "the card was damaged or changed" in load(bytes(edited))


@pytest.mark.parametrize("name", ["arrays.safetensors", "patches.onnx"])
def test_an_edited_member_is_noticed(
    name: str, members: dict[str, bytes], load: Callable[[bytes], str]
) -> None:
    edited = {**members, name: members[name][:-1] + b"\x01"}
    assert edited != members
    result = load(pack(members["card.json"], edited))
    assert f"{name} was damaged or changed after fitting" in result


def test_swapped_members(
    card: dict[str, Any], members: dict[str, bytes], load: Callable[[bytes], str]
) -> None:
    one, two = "arrays.safetensors", "patches.onnx"
    swapped = {**members, one: members[two], two: members[one]}
    assert load(pack(members["card.json"], swapped)) != "loaded"
    assert load(pack(card, swapped)) != "loaded"


@pytest.mark.parametrize(
    "name",
    ["../evil.onnx", "/etc/x.onnx", "a/b.onnx", "c:\\x.onnx", "x.pkl", "x.onnx\n", "é.onnx",
     "CARD.JSON", "x" * 200 + ".onnx", "data.onnx.data"],
)  # fmt: skip
def test_members_that_no_model_has(
    name: str, card: dict[str, Any], members: dict[str, bytes], load: Callable[[bytes], str]
) -> None:
    assert "that no Anomalens model has" in load(pack(card, {**members, name: b"x"}))


def test_a_missing_and_a_surplus_member(
    card: dict[str, Any], members: dict[str, bytes], load: Callable[[bytes], str]
) -> None:
    fewer = {name: data for name, data in members.items() if name != "patches.onnx"}
    more = {**members, "other.onnx": b"x"}
    for files in (fewer, more):
        assert "does not hold the files that its card lists" in load(pack(members["card.json"], files))
    assert "lacks what a model needs" in load(pack(card, fewer))


def safetensors(header: bytes | dict[str, Any], data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype: str, shape: list[int], *offsets: int) -> dict[str, Any]:
    return {"bank": {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0" * 7, struct.pack("<Q", 2**63), struct.pack("<Q", 10**9) + b"{}",
        safetensors(b"[]"), safetensors(b"{" * 50_000), safetensors(b'{"bank": 3}'),
        safetensors(b'{"bank":' + b"[" * 60_000 + b"]" * 60_000 + b"}"),
        safetensors(tensor("F32", [10**12, 10**12], 0, 8), bytes(8)),
        safetensors(tensor("F32", [2**62, 4], 0, 16), bytes(16)),
        safetensors(tensor("F32", [2**31, 0], 0, 0)),
        safetensors(tensor("F32", [0, 2**60], 0, 0)),
        safetensors(tensor("F32", [1, 6], 0, 10**15), bytes(24)),
        safetensors(tensor("F32", [1, 6], 24, 0), bytes(24)),
        safetensors(tensor("F32", [-1, 6], 0, 24), bytes(24)),
        safetensors(tensor("F99", [1, 6], 0, 24), bytes(24)),
        safetensors(tensor("BF16", [2, 6], 0, 24), bytes(24)),
        safetensors(tensor("F8_E4M3", [4, 6], 0, 24), bytes(24)),
        safetensors(tensor("C64", [1, 3], 0, 24), bytes(24)),
        safetensors(tensor("BOOL", [4, 6], 0, 24), bytes([2] * 24)),
        safetensors(tensor("F32", [1] * 40, 0, 4), bytes(4)),
        safetensors(tensor("F32", [], 0, 4), bytes(4)),
    ],
    ids=range(22),
)  # fmt: skip
def test_hostile_arrays(
    data: bytes, card: dict[str, Any], members: dict[str, bytes], load: Callable[[bytes], str]
) -> None:
    load(pack(card, {**members, "arrays.safetensors": data}))


@RELAXED
@given(data=st.data())
def test_fuzzed_arrays_and_graphs_with_right_hashes(
    data: st.DataObject,
    card: dict[str, Any],
    members: dict[str, bytes],
    load: Callable[[bytes], str],
) -> None:
    name = data.draw(st.sampled_from(["arrays.safetensors", "patches.onnx"]))
    edited = bytearray(members[name])
    end = min(len(edited), 300) - 1  # the structures come first, plain numbers follow
    for place in data.draw(st.lists(st.integers(0, end), min_size=1, max_size=3)):
        edited[place] = data.draw(st.integers(0, 255))
    load(pack(card, {**members, name: bytes(edited)}))


@pytest.mark.parametrize(
    "bank",
    [
        np.zeros((0, 6), np.float32), np.zeros((3, 0), np.float32), np.zeros(6, np.float32),
        np.zeros((2, 3, 6), np.float32), np.full((3, 6), np.nan, np.float32),
        np.zeros((3, 5), np.float32), np.full((2, 6), np.inf),
    ],
    ids=str,
)  # fmt: skip
def test_a_bank_that_does_not_fit_the_network(
    bank: np.ndarray, model: bytes, tmp_path: Path, load: Callable[[bytes], str]
) -> None:
    (tmp_path / "good").write_bytes(model)
    good = read_bundle(tmp_path / "good")
    write_bundle(tmp_path / "bad", Bundle(good.card, {"bank": bank}, good.graphs))
    assert "fit the model again" in load((tmp_path / "bad").read_bytes())


@pytest.mark.parametrize("grid", [[3, 4], [4, 3], [8, 2], [1, 1], [0, 4], [10**9, 4], [32, 32]])
def test_a_grid_that_does_not_fit_the_network(
    grid: list[int],
    card: dict[str, Any],
    members: dict[str, bytes],
    load: Callable[[bytes], str],
) -> None:
    assert "fit the model again" in load(pack(changed(card, ("state", "grid"), grid), members))


def test_graphs_of_a_stranger_are_answered(
    card: dict[str, Any], members: dict[str, bytes], tiny_network: bytes, load: Callable[[bytes], str]
) -> None:
    for graph in (b"", b"\0", b"\xff" * 100, tiny_network, members["patches.onnx"] * 2):
        assert load(pack(card, {**members, "patches.onnx": graph})) != "loaded"
