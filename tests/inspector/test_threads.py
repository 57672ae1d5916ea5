"""One Inspector, asked from several threads and processes."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from anomalens import Finding, Inspector
from anomalens.backbones.machine import available
from anomalens.errors import ExecutionError, SettingError
from anomalens.threads import one_blas_thread

FAST = {"size": 64, "threads": 2, "policy": "false-alarm-rate=0.1"}
DETECTORS = {
    "auto": {},
    "patchcore": {"min_bank": 150},
    "padim": {},
    "gaussian": {},
    "spade": {},
    "dictionary": {},
    "combine:knn,gaussian": {},
}


@pytest.fixture(params=["onnxruntime", "openvino"])
def runtime(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name not in available():
        pytest.skip(f"{name} is not installed")
    return name


def asked(inspector: Inspector, image: np.ndarray) -> Finding:
    (finding,) = inspector.check([image], workers=1)
    return finding


@pytest.mark.parametrize("detector", DETECTORS)
def test_four_threads_get_the_answers_of_one(
    detector: str, runtime: str, normal: np.ndarray, fresh: np.ndarray, defects: np.ndarray
) -> None:
    inspector = Inspector.fit(
        normal, detector=detector, parameters=DETECTORS[detector], runtime=runtime, **FAST
    )
    images = [*fresh[:6], *defects[:6]]
    alone = [asked(inspector, image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: asked(inspector, image), images * 8))
    for one, other in zip(alone * 8, together, strict=True):
        assert (other.error, other.score, other.anomalous) == (None, one.score, one.anomalous)
        if one.map is not None and other.map is not None:
            np.testing.assert_array_equal(one.map, other.map)


def test_streams_in_several_threads_keep_apart(runtime: str, normal: np.ndarray, fresh: np.ndarray) -> None:
    inspector = Inspector.fit(normal, detector="gaussian", runtime=runtime, **FAST)
    wanted = [finding.score for finding in inspector.check(fresh)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: [f.score for f in inspector.check(fresh)], range(6)))
    assert found == [wanted] * 6


def test_a_runtime_that_fails_is_no_unreadable_picture(normal: np.ndarray, fresh: np.ndarray) -> None:
    inspector = Inspector.fit(normal, detector="gaussian", runtime="onnxruntime", **FAST)
    queue: Any = multiprocessing.get_context("fork").SimpleQueue()

    def child() -> None:
        try:
            asked(inspector, fresh[0])
        except ExecutionError as error:
            queue.put(str(error))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert not process.is_alive()
    assert "load the model file in each process" in queue.get()


def test_an_inspector_says_how_it_gets_into_other_processes(inspector: Inspector) -> None:
    with pytest.raises(SettingError, match="load the file in each"):
        pickle.dumps(inspector)


def blas_threads() -> set[int]:
    """Of numpy's own library; scipy brings another."""
    found = [one for one in threadpool_info() if one["user_api"] == "blas" and "numpy" in one["filepath"]]
    return {one["num_threads"] for one in found}


def test_the_limit_of_numpys_threads_holds_until_the_last_has_left() -> None:
    before = blas_threads()
    contexts: Iterator[Any] = (one_blas_thread() for _ in range(3))
    first, second, third = contexts
    with first:
        second.__enter__()
    third.__enter__()
    assert blas_threads() == {1}
    second.__exit__(None, None, None)
    assert blas_threads() == {1}
    third.__exit__(None, None, None)
    assert blas_threads() == before


def test_each_process_may_load_the_file(inspector: Inspector, tmp_path: Path, fresh: np.ndarray) -> None:
    path = inspector.save(tmp_path / "m.anomalens")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(score_in_a_process, (path, fresh[0])) == asked(inspector, fresh[0]).score


def score_in_a_process(path: Path, image: np.ndarray) -> float | None:
    return asked(Inspector.load(path, threads=1), image).score
