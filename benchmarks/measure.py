"""One set in one process: fit, check, and what that cost. Prints one JSON object.

Run by `main_job.py`, one process a set, so that peak memory is that set's own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from real_sets import SETS, RealSet
from scipy.stats import beta, rankdata

from anomalens import Inspector, Policy
from anomalens.backbones.machine import available
from anomalens.errors import AnomalensError

RATES = (0.05, 0.01)
TIMED_IMAGES = 60


def main() -> None:
    name, *options = sys.argv[1:]
    warnings.simplefilter("ignore")
    data = SETS[name]()
    steps: dict[str, float] = {}
    start = time.perf_counter()
    inspector = Inspector.fit(data.train, detector="patchcore", size=data.size, progress=_timed(steps))
    fit_seconds = time.perf_counter() - start
    row: dict[str, Any] = {
        "set": name,
        "size": data.size,
        "runtime": inspector.runtime.to_json(),
        "n_train": len(data.train),
        "n_groups": inspector.calibration.n_groups,
        "calibration": inspector.calibration.method,
        "seed": inspector.card["seed"],
        "data_sha256": inspector.card["data"]["sha256"],
        "versions": inspector.card["versions"],
        "bank": len(inspector.detector.state().arrays["bank"]),
        "fit_seconds": round(fit_seconds, 2),
        "fit_steps": {label: round(seconds, 2) for label, seconds in steps.items()},
        "fit_peak_mb": _peak_mb(),
        **_accuracy(inspector, data),
    }
    if "--times" in options:
        with tempfile.TemporaryDirectory() as folder:
            model = inspector.save(Path(folder) / "model.anomalens")
            row["model_mb"] = round(model.stat().st_size / 1e6, 2)
            row["times"] = [_times(model, data, *way) for way in _ways()]
            row["cold"] = _cold(model, data)
    print(json.dumps(row))


def _timed(steps: dict[str, float]) -> Any:
    """A progress that notes how long each named step takes."""

    def progress(items: Any, *, label: str, total: int) -> Any:
        start = time.perf_counter()
        yield from items
        steps[label] = steps.get(label, 0.0) + time.perf_counter() - start

    return progress


def _peak_mb() -> int:
    return round(_high_water(Path("/proc/self/status").read_text()))


def _high_water(status: str) -> float:
    """Peak resident memory in MB; ru_maxrss would also count the parent that forked the process."""
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 / 1e6 if found else float("nan")


def _accuracy(inspector: Inspector, data: RealSet) -> dict[str, Any]:
    normal, anomalous = [], []
    for entry, finding in zip(data.test, inspector.check(data.test), strict=True):
        (normal if entry.label == "good" else anomalous).append(finding.score)
    scores = np.array(normal), np.array(anomalous)
    found: dict[str, Any] = {
        "n_normal": len(normal),
        "n_anomalous": len(anomalous),
        "image_auroc": round(_auroc(*scores), 4),
    }
    for rate in RATES:
        threshold = inspector.calibration.with_policy(Policy("false-alarm-rate", rate)).threshold
        alarms = int((scores[0] > threshold.value).sum())
        found[f"at_{rate}"] = {
            "false_alarms": alarms,
            "false_alarm_rate": round(alarms / len(normal), 4),
            "interval": [round(v, 4) for v in _clopper_pearson(alarms, len(normal))],
            "expected": round(threshold.expected_rate, 4),
            "supported": threshold.supported,
            "detection_rate": round(float((scores[1] > threshold.value).mean()), 4),
        }
    return found


def _auroc(normal: np.ndarray, anomalous: np.ndarray) -> float:
    """Share of pairs in which the anomaly scores higher; ties count half."""
    ranks = rankdata(np.concatenate([normal, anomalous]))[len(normal) :]
    pairs = len(normal) * len(anomalous)
    return float((ranks.sum() - len(anomalous) * (len(anomalous) + 1) / 2) / pairs)


def _clopper_pearson(k: int, n: int) -> tuple[float, float]:
    """Exact 95 % binomial interval."""
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return low, high


def _ways() -> list[tuple[str, str]]:
    ways = [("onnxruntime", "float32")]
    if "openvino" in available():
        ways += [("openvino", "float32"), ("openvino", "bfloat16")]
    return ways


def _times(model: Path, data: RealSet, runtime: str, precision: str) -> dict[str, Any]:
    """Warm milliseconds per image, one image a call: median over `TIMED_IMAGES` images."""
    try:
        inspector = Inspector.load(model, runtime=runtime, precision=precision)
    except AnomalensError as error:
        return {"runtime": runtime, "precision": precision, "error": str(error)}
    images = data.test.subset(range(min(TIMED_IMAGES, len(data.test))))
    pictures = [images.read(i).pixels for i in range(len(images))]
    decoded = type(images).from_arrays([p.astype(np.uint8) for p in pictures])
    found: dict[str, Any] = {"runtime": inspector.runtime.name, "precision": inspector.runtime.precision}
    for source, subject in (("file", images), ("array", decoded)):
        for _ in inspector.check(subject.subset(range(3))):  # warm up
            pass
        spent = []
        for i in range(len(subject)):
            one = subject.subset([i])
            start = time.perf_counter()
            list(inspector.check(one))
            spent.append(1000 * (time.perf_counter() - start))
        start = time.perf_counter()
        list(inspector.check(subject))
        found[f"ms_from_{source}"] = round(float(np.median(spent)), 2)
        found[f"ms_streamed_from_{source}"] = round(1000 * (time.perf_counter() - start) / len(subject), 2)
    return found


def _cold(model: Path, data: RealSet) -> dict[str, Any]:
    """A fresh process that checks one image: median wall seconds and peak memory of five."""
    image = data.test[0].file
    if image is None:
        return {}
    found: dict[str, Any] = {}
    code = (
        "import sys\nfrom anomalens.cli.main import run\nrun(sys.argv[1:])\n"
        "print(open('/proc/self/status').read(), file=sys.stderr)"
    )
    for runtime, _ in dict.fromkeys((way[0], "") for way in _ways()):
        seconds, peaks = [], []
        for _ in range(5):
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", code, "check", str(model), str(image), "--runtime", runtime],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            seconds.append(time.perf_counter() - start)
            peaks.append(_high_water(done.stderr))
        found[runtime] = {
            "seconds": round(float(np.median(seconds)), 2),
            "peak_mb": round(float(np.median(peaks))),
        }
    return found


if __name__ == "__main__":
    main()
