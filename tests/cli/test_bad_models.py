"""A model file that cannot be used: one sentence, exit code 2, never a traceback."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Spoil = Callable[[Path, bytes], None]


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None], *, signed: bool) -> None:
    """Write the zip anew with changed members; `signed` also renews the card's own hash."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
        comment = archive.comment
    change(members)
    if signed:
        comment = hashlib.sha256(members["card.json"]).hexdigest().encode()
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = comment
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def edited(change: Callable[[dict], None], *, signed: bool) -> Spoil:
    def spoil(path: Path, content: bytes) -> None:
        path.write_bytes(content)

        def edit(members: dict[str, bytes]) -> None:
            card = json.loads(members["card.json"])
            change(card)
            members["card.json"] = json.dumps(card).encode()

        rewrite(path, edit, signed=signed)

    return spoil


def flipped(path: Path, content: bytes) -> None:
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


def other_arrays(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    rewrite(
        path,
        lambda members: members.update({"arrays.safetensors": b"\0" * 64}),
        signed=False,
    )


def extra_member(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    rewrite(path, lambda members: members.update({"../evil.py": b"print()"}), signed=False)


def without_graphs(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    def drop(members: dict[str, bytes]) -> None:
        for name in [name for name in members if name.endswith(".onnx")]:
            del members[name]

    rewrite(path, drop, signed=False)


def foreign_zip(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")


CASES: dict[str, tuple[Spoil, str]] = {
    "empty": (lambda path, _: path.touch(), "not an Anomalens model"),
    "text": (lambda path, _: path.write_text("hello"), "not an Anomalens model"),
    "truncated": (lambda path, b: path.write_bytes(b[: len(b) // 2]), "truncated or damaged"),
    "cut short by one byte": (lambda path, b: path.write_bytes(b[:-1]), "damaged"),
    "one bit flipped": (flipped, "damaged"),
    "foreign zip": (foreign_zip, "has no card.json"),
    "newer": (edited(lambda c: c.update(format_version=99), signed=True), "pip install --upgrade"),
    "threshold edited": (
        edited(lambda c: c["calibration"].update(threshold=1e9), signed=False),
        "changed after fitting",
    ),
    "other arrays": (other_arrays, "arrays.safetensors was damaged or changed"),
    "strange member": (extra_member, "'../evil.py'"),
    "member missing": (without_graphs, "does not hold the files that its card lists"),
    "half a card": (edited(lambda c: c.pop("calibration"), signed=True), "calibration"),
    "card of nonsense": (edited(lambda c: c.update(size="big"), signed=True), "lacks what a model"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("command", ["check", "calibrate"])
def test_one_sentence_with_the_file_and_what_to_do(anomalens, model, normal, tmp_path, case, command):
    spoil, said = CASES[case]
    path = tmp_path / "spoilt.anomalens"
    spoil(path, model.read_bytes())
    rest = [normal] if command == "check" else ["--policy", "max", "--out", tmp_path / "new.anomalens"]
    answer = anomalens(command, path, *rest)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith(f"error: {path}")
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert answer.err.rstrip().endswith(".")
    assert not (tmp_path / "new.anomalens").exists()


def test_the_undamaged_file_is_accepted_after_the_same_rewriting(anomalens, model, normal, tmp_path):
    """What the cases above refuse is the change, not the way in which the tests make it."""
    path = tmp_path / "same.anomalens"
    path.write_bytes(model.read_bytes())
    rewrite(path, lambda members: None, signed=True)
    assert anomalens("check", path, normal).code == 0


def test_a_missing_model_says_how_to_make_one(anomalens, normal, tmp_path):
    path = tmp_path / "gone.anomalens"
    answer = anomalens("check", path, normal)
    assert answer.code == 2
    assert answer.err == (
        f"error: There is no model file {path}; make one with  anomalens fit NORMAL --out {path}.\n"
    )


def test_a_folder_in_place_of_a_model(anomalens, normal, tmp_path):
    answer = anomalens("check", tmp_path, normal)
    assert answer.code == 2
    assert "is a folder" in answer.err


def test_an_image_in_place_of_a_model(anomalens, model, normal):
    answer = anomalens("check", normal, model)
    assert answer.code == 2
    assert answer.err.startswith(f"error: {normal} is not an Anomalens model")


def test_a_damaged_model_in_a_real_process(process, model, normal, tmp_path):
    path = tmp_path / "spoilt.anomalens"
    flipped(path, model.read_bytes())
    with process("check", path, normal) as running:
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (2, "")
    assert err.startswith(f"error: {path}") and "Traceback" not in err


def test_a_model_of_a_detector_that_is_not_installed_here(
    anomalens, third_party, parts, normal, tmp_path, monkeypatch
):
    path = tmp_path / "m.anomalens"
    assert anomalens("fit", parts, "--detector", "brightness", "--size", 16, "--out", path).code == 0
    monkeypatch.undo()  # uninstalls the other package
    answer = anomalens("check", path, normal)
    assert answer.code == 2
    assert "needs the detector 'brightness', which is not installed" in answer.err
