"""Reads weights from torch's old file format, without torch and without running a pickle.

The format (torch before 1.6; `_use_new_zipfile_serialization=False` since): five pickles in a row,
namely a magic number, the protocol version 1001, facts about the writing system, the state dict
with tensors that refer to storages by key, and the list of keys; then for each key an 8-byte
little-endian count of elements and the raw numbers. Only plain state dicts of float32 and int64
tensors are read, which is what the packaged networks are.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from anomalens.backbones.inert_pickle import (
    Refused,
    StorageReference,
    TensorReference,
    load_inert,
)
from anomalens.errors import BackboneError

MAX_FILE_BYTES: Final = 512 * 2**20
MAX_TENSORS: Final = 20_000

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001


def read_state_dict(path: Path | str, *, sha256: str | None) -> dict[str, np.ndarray]:
    """Read a state dict: the names and values of a network's parameters.

    Parameters
    ----------
    path : Path or str
        A file in torch's old format, at most 512 MB.
    sha256 : str or None
        The file's expected digest in hexadecimal; None accepts any content.

    Returns
    -------
    dict of str to ndarray
        C-contiguous arrays that own their memory, float32 or int64, in the file's order.

    Raises
    ------
    BackboneError
        If the file cannot be read, has another digest, or is anything but a well-formed state
        dict; no other exception comes out, whatever the bytes. Memory stays below three times the
        file's size plus what the allowed pickle opcodes can build (tens of MB).
    """
    path = Path(path)
    data = _read(path)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256.lower():
        raise BackboneError(
            f"{path.name} is not the weight file that this version was tested with "
            f"(its SHA-256 is not {sha256[:12]}…): install its package again."
        )
    try:
        return _parse(memoryview(data))
    except Refused as problem:
        raise BackboneError(
            f"{path.name} is not a plain float32 state dict in torch's old format: {problem}; "
            "use the file that the weights' package installs."
        ) from None


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise BackboneError(f"There is no weight file {path}: install its package again.")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise BackboneError(
                f"{path.name} is larger than the {MAX_FILE_BYTES // 2**20} MB that a weight file "
                "may have: use the file that the weights' package installs."
            )
        with path.open("rb") as file:
            return file.read(size)
    except (OSError, ValueError) as problem:
        raise BackboneError(f"The weight file {path} cannot be read: {problem}.") from None


def _parse(data: memoryview) -> dict[str, np.ndarray]:
    magic, at = load_inert(data, 0)
    if type(magic) is not int or magic != _MAGIC:
        raise Refused("it does not begin with that format's number")
    protocol, at = load_inert(data, at)
    if type(protocol) is not int or protocol != _PROTOCOL:
        raise Refused("its protocol version is not 1001")
    system, at = load_inert(data, at)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Refused("it was not written on a little-endian system")
    value, at = load_inert(data, at)
    tensors = _checked(value)
    keys, at = load_inert(data, at)
    return _build(tensors, _read_storages(data, at, keys, tensors))


def _checked(tensors: Any) -> dict[str, TensorReference]:
    if not isinstance(tensors, dict) or not tensors:
        raise Refused("it holds no dictionary of tensors")
    if len(tensors) > MAX_TENSORS:
        raise Refused(f"it holds {len(tensors)} tensors; {MAX_TENSORS} are allowed")
    for name, tensor in tensors.items():
        if not isinstance(tensor, TensorReference):
            raise Refused(f"{name[:80]!r} is not a tensor")
    return tensors


def _read_storages(
    data: memoryview, at: int, keys: Any, tensors: dict[str, TensorReference]
) -> dict[str, np.ndarray]:
    """One flat view of the file per storage key: nothing is copied or allocated yet."""
    described: dict[str, StorageReference] = {}
    for tensor in tensors.values():
        storage = described.setdefault(tensor.storage.key, tensor.storage)
        if storage != tensor.storage:
            raise Refused("two tensors describe one storage differently")
    storages: dict[str, np.ndarray] = {}
    for key in _texts(keys):
        if key not in described or key in storages:
            raise Refused("its list of storages does not match its tensors")
        storage = described[key]
        if at + 8 > len(data):
            raise Refused("it ends before its last storage")
        count = int.from_bytes(data[at : at + 8], "little")
        at += 8
        if count != storage.length:
            raise Refused("a storage has another length than its tensors say")
        size = count * np.dtype(storage.dtype).itemsize
        if size > len(data) - at:
            raise Refused("it ends in the middle of a storage")
        storages[key] = np.frombuffer(data[at : at + size], storage.dtype)
        at += size
    if len(storages) != len(described):
        raise Refused("its list of storages does not match its tensors")
    if at != len(data):
        raise Refused("bytes follow its last storage")
    return storages


def _texts(keys: Any) -> list[str]:
    if not isinstance(keys, list) or len(keys) > MAX_TENSORS:
        raise Refused("its list of storages is malformed")
    if not all(type(key) is str for key in keys):
        raise Refused("its list of storages is malformed")
    return keys


def _build(tensors: dict[str, TensorReference], storages: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    # Tensors may share a storage, so a small file could ask for a large copy many times over.
    wanted = sum(math.prod(tensor.shape) for tensor in tensors.values())
    if wanted > sum(storage.size for storage in storages.values()):
        raise Refused("its tensors are larger than its storages")
    arrays = {}
    for name, tensor in tensors.items():
        storage = storages[tensor.storage.key]
        last = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
        if 0 in tensor.shape:
            arrays[name] = np.zeros(tensor.shape, storage.dtype)
            continue
        if tensor.offset + last >= storage.size:
            raise Refused(f"{name[:80]!r} reaches beyond its storage")
        view = np.lib.stride_tricks.as_strided(
            storage[tensor.offset :],
            tensor.shape,
            [step * storage.itemsize for step in tensor.strides],
            writeable=False,
        )
        arrays[name] = np.array(view, dtype=view.dtype.newbyteorder("="), order="C")
    return arrays
