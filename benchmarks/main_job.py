"""The benchmark of the main job: `make bench` writes main_job.json and main_job.md beside this file.

python benchmarks/main_job.py                 all sets that are there
python benchmarks/main_job.py brain_mri …     some of them (rows of others are kept)
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from opening import opening
from real_sets import DATA, SETS

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "main_job.json"
TIMED = ("mvtec_transistor", "magnetic_tile")


def main() -> None:
    wanted = sys.argv[1:] or list(SETS)
    if not DATA.is_dir():
        sys.exit(f"There are no real images in {DATA.name}; set ANOMALENS_DATA to their folder.")
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": {}}
    results["machine"] = f"{platform.machine()}, {os.cpu_count()} cores"
    for number, name in enumerate(wanted, 1):
        print(f"[{number}/{len(wanted)}] {name}", flush=True)
        options = ["--times"] if name in TIMED else []
        done = subprocess.run(
            [sys.executable, str(HERE / "measure.py"), name, *options],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            row = {"set": name, "error": done.stderr.strip().splitlines()[-1]}
        else:
            row = json.loads(done.stdout.splitlines()[-1])
        results["rows"][name] = row
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        (HERE / "main_job.md").write_text(table(results))
    print((HERE / "main_job.md").read_text())


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    order = {name: i for i, name in enumerate(SETS)}
    rows = sorted(results["rows"].values(), key=lambda row: order.get(row["set"], 999))
    good = [row for row in rows if "error" not in row]
    lines = [
        "# The main job, measured",
        "",
        opening(HERE / "main_job.md"),
        "",
        "`make bench` wrote this page and `main_job.json`. Detector `patchcore` with its defaults, seed 0; "
        f"machine: {results['machine']}; other work may run on it, so compare times as ratios. A set's "
        "images "
        "are subsets of published data sets: figures are not comparable with published ones. Of "
        "DeepPCB three "
        "board groups are taken, of MNIST, CIFAR-10 and FER2013 one or two classes, to keep the run short. "
        "Seconds of fitting and accuracy are of the default runtime in float32, with two threads.",
        "",
        "## Accuracy and realised false-alarm rate",
        "",
        "False alarms on held-out normal images that neither model nor calibration has seen, with exact "
        "95 % binomial intervals. `*`: there were too few normal images for the asked rate; scores above the "
        "largest of them are flagged.",
        "",
        "| set | px | learnt from (groups) | normal / anomalous | image AUROC "
        "| asked 0.05: false alarms | found | asked 0.01: false alarms | found |",
        "|---|--:|--:|--:|--:|---|--:|---|--:|",
    ]
    for row in good:
        cells = []
        for rate in ("0.05", "0.01"):
            at = row[f"at_{rate}"]
            low, high = at["interval"]
            star = "" if at["supported"] else "*"
            cells.append(f"{at['false_alarm_rate']:.3f}{star} ({low:.3f}–{high:.3f})")
            cells.append(f"{at['detection_rate']:.3f}")
        lines.append(
            f"| {row['set']} | {row['size']} | {row['n_train']} ({row['n_groups']}) "
            f"| {row['n_normal']} / {row['n_anomalous']} | {row['image_auroc']:.4f} | {' | '.join(cells)} |"
        )
    for rate in ("0.05", "0.01"):
        fair = [row for row in good if row[f"at_{rate}"]["supported"]]
        if not fair:
            continue
        alarms = sum(row[f"at_{rate}"]["false_alarms"] for row in fair)
        total = sum(row["n_normal"] for row in fair)
        shares = sorted(row[f"at_{rate}"]["false_alarm_rate"] for row in fair)
        lines += [
            "",
            f"Asked {rate}, over the {len(fair)} sets that support it: {alarms} of {total} normal images "
            f"flagged ({alarms / total:.3f}); set by set from {shares[0]:.3f} to {shares[-1]:.3f}, median "
            f"{shares[len(shares) // 2]:.3f}. Large sets weigh most in the sum.",
        ]
    lines += [
        "",
        "## Cost of fitting",
        "",
        "| set | images | bank | seconds | of which | peak MB |",
        "|---|--:|--:|--:|---|--:|",
    ]
    for row in good:
        steps = ", ".join(f"{label} {seconds}" for label, seconds in row["fit_steps"].items())
        lines.append(
            f"| {row['set']} | {row['n_train']} | {row['bank']} | {row['fit_seconds']} | {steps} "
            f"| {row['fit_peak_mb']} |"
        )
    lines += [
        "",
        "## Cost of checking",
        "",
        "Warm, one image a call, and streamed (decoding ahead of scoring); median ms per image. Cold: a "
        "fresh process that loads the model and checks one image.",
        "",
        "| set | runtime | precision | ms from file | ms from array | streamed, file | streamed, array "
        "| cold s | cold MB |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in good:
        for way in row.get("times", ()):
            if "error" in way:
                lines.append(
                    f"| {row['set']} | {way['runtime']} | {way['precision']} | {way['error']} |||||||"
                )
                continue
            cold = row["cold"].get(way["runtime"], {}) if way["precision"] == "float32" else {}
            lines.append(
                f"| {row['set']} | {way['runtime']} | {way['precision']} | {way['ms_from_file']} "
                f"| {way['ms_from_array']} | {way['ms_streamed_from_file']} "
                f"| {way['ms_streamed_from_array']} | {cold.get('seconds', '')} | {cold.get('peak_mb', '')} |"
            )
    for row in rows:
        if "error" in row:
            lines += ["", f"Failed: {row['set']}: {row['error']}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
