"""Reads weights from torch's old file format, without torch and without running a pickle.

The format (torch before 1.6; `_use_new_zipfile_serialization=False` since): five pickles in a row,
namely a magic number, the protocol version 1001, facts about the writing system, the state dict
with tensors that refer to storages by key, and the list of keys; then for each key an 8-byte
little-endian count of elements and the raw numbers. Only files of a known digest are read, which
the packaged networks are: plain state dicts of float32 and int64 tensors.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Final

import numpy as np

from anomalens.backbones.inert_pickle import Refused, TensorReference, load_inert
from anomalens.errors import BackboneError

MAX_FILE_BYTES: Final = 512 * 2**20

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001


def read_state_dict(path: Path | str, *, sha256: str) -> dict[str, np.ndarray]:
    """Read a state dict: the names and values of a network's parameters.

    Parameters
    ----------
    path : Path or str
        A file in torch's old format, at most 512 MB.
    sha256 : str
        The file's digest in hexadecimal.

    Returns
    -------
    dict of str to ndarray
        C-contiguous arrays that own their memory, float32 or int64, in the file's order.

    Raises
    ------
    BackboneError
        If the file cannot be read, has another digest, or is anything but a state dict.
    """
    path = Path(path)
    data = _read(path)
    if hashlib.sha256(data).hexdigest() != sha256.lower():
        raise BackboneError(
            f"{path.name} is not the weight file that this version was tested with "
            f"(its SHA-256 is not {sha256[:12]}…): install its package again."
        )
    try:
        return _parse(io.BytesIO(data))
    except (Refused, ValueError, IndexError, KeyError, TypeError, AttributeError) as problem:
        raise BackboneError(
            f"{path.name} is not a plain float32 state dict in torch's old format: {problem}; "
            "use the file that the weights' package installs."
        ) from None


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise BackboneError(f"There is no weight file {path}: install its package again.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BackboneError(
                f"{path.name} is larger than the {MAX_FILE_BYTES // 2**20} MB that a weight file "
                "may have: use the file that the weights' package installs."
            )
        return path.read_bytes()
    except (OSError, ValueError) as problem:
        raise BackboneError(f"The weight file {path} cannot be read: {problem}.") from None


def _parse(file: io.BytesIO) -> dict[str, np.ndarray]:
    magic, protocol, system = (load_inert(file) for _ in range(3))
    if magic != _MAGIC or protocol != _PROTOCOL or not system["little_endian"]:
        raise Refused("it does not begin as that format does")
    tensors: dict[str, TensorReference] = load_inert(file)
    types = {tensor.storage.key: np.dtype(tensor.storage.dtype) for tensor in tensors.values()}
    storages = {}
    for key in load_inert(file):
        size = int.from_bytes(file.read(8), "little") * types[key].itemsize
        storages[key] = np.frombuffer(file.read(size), types[key])
    return {name: _array(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _array(tensor: TensorReference, storage: np.ndarray) -> np.ndarray:
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, storage.dtype)
    reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if tensor.offset < 0 or min(tensor.strides, default=0) < 0 or tensor.offset + reach >= storage.size:
        raise Refused("a tensor reaches beyond its storage")
    view = np.lib.stride_tricks.as_strided(
        storage[tensor.offset :],
        tensor.shape,
        [step * storage.itemsize for step in tensor.strides],
        writeable=False,
    )
    return np.array(view, dtype=view.dtype.newbyteorder("="), order="C")
