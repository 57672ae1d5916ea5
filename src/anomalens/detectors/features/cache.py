"""Features on disk, so that ten detectors on one set read each image through the network once.

Off unless a folder is named (`Job.features`; the command line's `--feature-cache`). A vector's name is the
hash of the prepared pixels and of everything that turned them into features (settings, graph, runtime,
versions), so nothing old is ever taken for new. Plain `.npy`; no pickle. When the folder holds `max_bytes`,
nothing more is written; delete the folder to empty it.
"""

from __future__ import annotations

import hashlib
import json
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.features.extractor import Extractor
from anomalens.images.arrays import Pixels
from anomalens.places import whole_file

MAX_BYTES: Final = 4 * 10**9
# what numpy.save writes before one vector; numpy.load takes five times as long to read it
_HEADER: Final = re.compile(
    rb"\x93NUMPY\x01\0..\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d+),\), \} *\n", re.DOTALL
)
_LIBRARIES: Final = ("anomalens", "numpy", "scikit-image", "onnxruntime", "openvino")

Floats = NDArray[np.float32]


class Store(Protocol):
    """Where vectors are kept by name."""

    def get(self, key: str) -> Floats | None: ...

    def put(self, key: str, vector: Floats) -> None: ...


class FeatureMemory:
    """Features in memory, and one extractor for all detectors that ask for the same features.

    Detectors that are asked together read an image through the network once.

    Parameters
    ----------
    max_bytes : int
        When that much is held, nothing more is.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._held: dict[str, Floats] = {}
        self._extractors: dict[bytes, CachedExtractor] = {}

    def through(self, extractor: Extractor, *, runtime: Runtime) -> CachedExtractor:
        """The extractor with this memory in front, or an equal one that is known already."""
        identity = _identity(extractor, runtime)
        return self._extractors.setdefault(identity, CachedExtractor(extractor, self, identity))

    def get(self, key: str) -> Floats | None:
        return self._held.get(key)

    def put(self, key: str, vector: Floats) -> None:
        if self._bytes + vector.nbytes <= self._max_bytes:
            self._held[key] = vector
            self._bytes += vector.nbytes

    def clear(self) -> None:
        """Forget the features; the extractors stay."""
        self._held.clear()
        self._bytes = 0


class FeatureCache:
    """A folder of feature vectors.

    Parameters
    ----------
    folder : Path
        Made when first written to.
    max_bytes : int
    """

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._held: int | None = None  # counted when first written to

    def through(self, extractor: Extractor, *, runtime: Runtime) -> CachedExtractor:
        """The extractor with this cache in front."""
        return CachedExtractor(extractor, self, _identity(extractor, runtime))

    def get(self, key: str) -> Floats | None:
        """A vector, or None where there is none that can be read."""
        try:
            raw = self._place(key).read_bytes()
        except OSError:
            return None
        header = _HEADER.match(raw)
        if header is None or len(raw) != header.end() + 4 * int(header[1]):
            return None
        found = np.frombuffer(raw, "<f4", offset=header.end())
        return found if np.isfinite(found).all() else None

    def put(self, key: str, vector: Floats) -> None:
        """Keep a vector; a full or read-only folder is no error."""
        try:
            if self._held is None:
                self._held = sum(file.stat().st_size for file in self._folder.glob("*/*.npy"))
            if self._held + vector.nbytes > self._max_bytes:
                return
            place = self._place(key)
            place.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(place) as file:  # another process may read or write the same vector
                np.save(file, vector, allow_pickle=False)
            self._held += place.stat().st_size
        except OSError:
            self._held = self._max_bytes

    def _place(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.npy"


class CachedExtractor:
    """An extractor that looks into a cache first."""

    def __init__(self, inner: Extractor, cache: Store, identity: bytes) -> None:
        self._inner, self._cache, self._identity = inner, cache, identity
        self.groups, self.numbers, self.graphs = inner.groups, inner.numbers, inner.graphs

    def __call__(self, image: Pixels) -> Floats:
        digest = hashlib.blake2b(self._identity, digest_size=24)
        digest.update(f"{image.dtype} {image.shape}".encode())
        digest.update(np.ascontiguousarray(image).data)
        key = digest.hexdigest()
        found = self._cache.get(key)
        if found is None:
            found = self._inner(image)
            self._cache.put(key, found)
        return found


def _identity(extractor: Extractor, runtime: Runtime) -> bytes:
    def of(library: str) -> str | None:
        try:
            return version(library)
        except PackageNotFoundError:
            return None

    plain = {
        "numbers": extractor.numbers(),
        "graphs": {name: hashlib.sha256(graph).hexdigest() for name, graph in extractor.graphs().items()},
        "runtime": runtime.to_json(),
        "versions": {library: of(library) for library in _LIBRARIES},
    }
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).digest()
