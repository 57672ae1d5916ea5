"""Our PatchCore and `auto` beside anomalib's PatchCore, in turn on one machine: writes beside_anomalib.md.

    python -m venv other && other/bin/pip install anomalib==2.7.0
    python benchmarks/beside_anomalib.py --python other/bin/python

Its network is the same (EfficientNet-Lite0, taps at 1/8 and 1/16), without weights, since only time is taken
here; its bank has as many vectors as ours, drawn at random, which cost what chosen ones do. Each takes 20
pictures of 256 px, one at a time, from a prepared array to score and map, and then waits for the other: no
thread of one disturbs the other. Its accuracy on the same pictures was measured elsewhere (docs/detectors).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from opening import opening

PAGE = Path(__file__).with_suffix(".md")
SIDE, PICTURES, ROUNDS, WARM, CHANNELS = 256, 20, 15, 5, 152


def theirs(vectors: int) -> None:
    """In the other environment: waits for a line, takes one round, answers with the milliseconds."""
    import torch
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    torch.set_num_threads(2)
    model = PatchcoreModel(
        layers=["blocks.2", "blocks.4"], backbone="tf_efficientnet_lite0", pre_trained=False
    ).eval()
    model.memory_bank = torch.randn(vectors, CHANNELS)
    images = torch.randn(PICTURES, 1, 3, SIDE, SIDE)
    with torch.inference_mode():
        found = model(images[0])
        assert found.anomaly_map.shape[-2:] == (SIDE, SIDE)
        print("ready", flush=True)
        for _ in sys.stdin:
            time.sleep(0.1)
            for image in images[:WARM]:
                model(image)
            taken = []
            for image in images:
                start = time.perf_counter()
                model(image)
                taken.append(1000 * (time.perf_counter() - start))
            print(*(f"{ms:.3f}" for ms in taken), flush=True)


def ours() -> None:
    from latency import one_round, pictures
    from real_sets import DATA

    from anomalens import Inspector
    from anomalens.backbones.machine import available
    from anomalens.errors import AnomalensWarning
    from anomalens.images import normal_images

    parser = argparse.ArgumentParser()
    parser.add_argument("--python", required=True, help="an interpreter that has anomalib")
    python = parser.parse_args().python
    normal, arrays = normal_images(DATA / "mvtec_transistor"), pictures()
    inspectors = {}
    for detector in ("patchcore", "auto"):
        for runtime in available():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AnomalensWarning)
                inspectors[detector, runtime] = Inspector.fit(
                    normal, detector=detector, runtime=runtime, threads=2
                )
    bank = len(inspectors["patchcore", "onnxruntime"].detector.bank_)
    taken: dict[tuple[str, str], list[float]] = {key: [] for key in [*inspectors, ("anomalib", "torch")]}
    other = subprocess.Popen(
        [python, __file__, "--theirs", str(bank)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdin is not None and other.stdout is not None
    while other.stdout.readline().strip() != "ready":
        if other.poll() is not None:
            sys.exit("The other environment cannot run anomalib's PatchCore.")
    for turn in range(ROUNDS + 1):
        for key, inspector in inspectors.items():
            found = one_round(inspector, arrays)
            taken[key] += [1000 * seconds for seconds in found] if turn else []
        other.stdin.write("\n")
        other.stdin.flush()
        found = [float(ms) for ms in other.stdout.readline().split()]
        if turn:
            taken["anomalib", "torch"] += found
    other.stdin.close()
    reference = float(np.median(taken["anomalib", "torch"]))
    rows = []
    for (detector, runtime), ms in taken.items():
        low, middle, high = np.quantile(ms, (0.1, 0.5, 0.9))
        rows.append(
            f"| {detector} | {runtime} | {middle:.1f} | {low:.1f} to {high:.1f} | {reference / middle:.1f} |"
        )
    PAGE.write_text(
        f"# Beside anomalib's PatchCore, picture by picture\n\n{opening(PAGE)}\n\n"
        f"Milliseconds for one picture of {SIDE} px, two threads of {os.cpu_count()} cores, float32, a bank "
        f"of {bank} vectors, {PICTURES} pictures {ROUNDS} times, one after the other; ours with all that a "
        "finding holds, theirs the model's score and map of a prepared tensor. `python "
        "benchmarks/beside_anomalib.py --python OTHER` wrote this page (anomalib 2.7.0 in its own environment"
        ").\n\n"
        "| detector | runtime | median | 10 % to 90 % | times as fast |\n| --- | --- | --: | --: | --: |\n"
        + "\n".join(rows)
        + "\n",
        encoding="utf-8",
    )
    print("\n".join(rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--theirs"]:
        theirs(int(sys.argv[2]))
    else:
        ours()
