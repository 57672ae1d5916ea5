"""Every kind of bad image gets one sentence, and the good images of the same call their answers."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

SOURCE = Path(__file__).resolve().parents[2] / "src"


def png_header(width: int, height: int) -> bytes:
    """A PNG of the declared size that holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b""))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + pixels + chunk(b"IEND", b"")


@pytest.fixture
def photos(tmp_path: Path, normal: Path, broken: Path) -> Path:
    """Two good images between bad ones of every kind."""
    folder = tmp_path / "photos"
    folder.mkdir()
    photograph = normal.read_bytes()
    (folder / "a-good.jpg").write_bytes(photograph)
    (folder / "b-truncated.jpg").write_bytes(photograph[: len(photograph) // 2])
    (folder / "c-empty.png").touch()
    (folder / "d-text.png").write_text("this is no image")
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green", "blue")]
    frames[0].save(folder / "e-animated.gif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (1, 1)).save(folder / "f-one.png")
    (folder / "g-huge.png").write_bytes(png_header(40_000, 40_000))
    (folder / "h-folder.png").symlink_to(tmp_path / "gone.png")
    (folder / "i-torn.png").write_bytes(broken.read_bytes())
    return folder


SAID = {
    "b-truncated.jpg": "truncated",
    "c-empty.png": "empty (0 bytes)",
    "d-text.png": "not an image",
    "e-animated.gif": "animation",
    "f-one.png": "1 x 1 pixels",
    "g-huge.png": "40000 x 40000 pixels",
    "h-folder.png": "no such file",
}


def test_each_has_its_sentence_and_the_good_ones_their_answers(anomalens, model, photos):
    answer = anomalens("check", model, photos, "--json")
    assert answer.code == 2
    found = {line["image"]: line for line in map(json.loads, answer.lines)}
    assert list(found) == sorted(path.name for path in photos.iterdir())
    for name, words in SAID.items():
        error = found[name]["error"]
        assert words in error
        assert error.endswith(".") and "\n" not in error
        assert name not in error  # the line names the image already
        assert found[name]["score"] is None
    assert found["a-good.jpg"]["anomalous"] is False
    assert found["i-torn.png"]["anomalous"] is True
    assert answer.err == "1 flagged, 1 not flagged, 7 unreadable of 9 images\n"


def test_as_text_each_is_one_line_with_its_name(anomalens, model, photos):
    answer = anomalens("check", model, photos)
    assert answer.code == 2
    errors = [line for line in answer.lines if line.startswith("ERROR")]
    assert len(answer.lines) == 9
    for line, (name, words) in zip(errors, SAID.items(), strict=True):
        assert line.startswith(f"ERROR  {name}: ") and words in line


def test_the_page_shows_them_too(anomalens, model, photos, tmp_path):
    answer = anomalens("check", model, photos, "--out", tmp_path / "report")
    assert answer.code == 2
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert all(name in page for name in SAID)
    assert len((tmp_path / "report" / "findings.jsonl").read_text().splitlines()) == 9


def test_a_real_process_prints_no_traceback_and_takes_little_memory(process, model, photos):
    with process("check", model, photos) as running:
        _, err = running.communicate(timeout=60)
    assert running.returncode == 2
    assert "Traceback" not in err
    # 40,000 x 40,000 pixels decoded would be 4.8 GB; ru_maxrss is in KiB on Linux.
    if sys.platform == "linux":
        import resource

        assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 3 * 2**20


def test_inspect_lists_them(anomalens, photos):
    answer = anomalens("inspect", photos)
    assert answer.code == 2
    listed = [line for line in answer.lines if line.startswith("cannot be read: ")]
    for line, (name, words) in zip(listed, SAID.items(), strict=True):
        assert line.startswith(f"cannot be read: {name}: ") and words in line


def test_preprocess_writes_the_good_ones(anomalens, photos, tmp_path):
    answer = anomalens("preprocess", photos, "--out", tmp_path / "prepared", "--size", 32)
    assert answer.code == 2
    assert answer.out.startswith("2 images and manifest.csv")
    for line, (name, words) in zip(answer.err.splitlines(), SAID.items(), strict=True):
        assert line.startswith(f"ERROR  {name}: ") and words in line


def test_fit_counts_them_and_learns_from_the_others(anomalens, photos, tmp_path):
    answer = anomalens("fit", photos, "--out", tmp_path / "m.anomalens", "--size", 32)
    assert answer.code == 0
    assert "warning: 7 of 9 images cannot be read and are left out; the first: b-tr" in answer.err


def test_calibrate_counts_them(anomalens, model, photos, tmp_path):
    answer = anomalens("calibrate", model, photos, "--policy", "max", "--out", tmp_path / "m.anomalens")
    assert answer.code == 0, answer.err
    assert "cannot be read" in answer.err


# Root may read everything, by two capabilities; a program that it starts without them may not.
BOUND = """
import ctypes, os, sys
if os.geteuid() == 0:
    drop, override, search = 24, 1, 2  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    prctl = ctypes.CDLL(None).prctl
    if prctl(drop, override, 0, 0, 0) or prctl(drop, search, 0, 0, 0):
        sys.exit(77)
os.execv(sys.executable, [sys.executable, "-c", "from anomalens.cli.main import main; main()", *sys.argv[1:]])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="root is bound to permissions on Linux only")
def test_what_this_user_may_not_read_or_write(model, normal, tmp_path):
    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH", "")]))
        done = subprocess.run(
            [sys.executable, "-c", BOUND, *map(str, arguments)],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        if done.returncode == 77:
            pytest.skip("this user may read everything and cannot give that up")
        return done

    shutil.copy(model, tmp_path / "m.anomalens")
    for name in ("good.jpg", "secret.jpg"):
        shutil.copy(normal, tmp_path / name)
    (tmp_path / "secret.jpg").chmod(0)
    done = call("check", "m.anomalens", "secret.jpg", "good.jpg", "--json")
    assert done.returncode == 2, done.stderr
    secret, good = map(json.loads, done.stdout.splitlines())
    assert secret["error"] == "permission to read the file was refused; change its permissions."
    assert good["anomalous"] is False

    (tmp_path / "m.anomalens").chmod(0)
    done = call("check", "m.anomalens", "good.jpg")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("error: m.anomalens may not be read by this user; change its permissions.\n")

    (tmp_path / "locked").mkdir()
    shutil.copy(normal, tmp_path / "locked" / "hidden.jpg")
    (tmp_path / "locked").chmod(0o500)
    done = call("fit", "good.jpg", "--out", "locked/new.anomalens")
    assert done.returncode == 2
    assert done.stderr == ("error: The folder locked of --out may not be written to; choose another.\n")
    done = call("preprocess", "good.jpg", "--size", 16, "--out", "locked/prepared")
    assert done.returncode == 2
    assert done.stderr.startswith("error: The images cannot be written to locked/prepared")
    (tmp_path / "locked").chmod(0)
    done = call("inspect", "locked")
    (tmp_path / "locked").chmod(0o700)
    assert done.returncode == 2
    assert done.stderr.startswith("error: locked") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "name",
    ["two words.jpg", "ümläut 猫 🔩.jpg", "<b>bold&.jpg", "quote'\".jpg", "-dash.jpg", "per%cent%s.jpg",
     "[1].jpg", "new\nline.jpg", "{brace}.jpg"],
)  # fmt: skip
def test_hostile_file_names(anomalens, model, normal, tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(normal.read_bytes())
    monkeypatch.chdir(tmp_path)
    answer = anomalens("check", model, "--json", "--out", "report", "--", name)
    assert answer.code == 0, answer.err
    assert [json.loads(line)["image"] for line in answer.lines] == [name]
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "<b>bold" not in page
    for path in (tmp_path / "report" / "overlays").iterdir():
        assert path.name.isascii() and not set(path.name) & set("<>:\"/\\|?*' \n")
    assert anomalens("inspect", "--", name).code == 0
    assert anomalens("preprocess", "--out", "prepared", "--size", 16, "--", name).code == 0
    assert anomalens("fit", "--out", "m.anomalens", "--size", 32, "--", name).code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text on this system")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_file_name_that_is_no_text_on_any_output(process, model, normal, tmp_path, encoding):
    name = b"\xff\xfe caf\xe9.jpg"
    Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(normal.read_bytes())
    (tmp_path / "né→e.jpg").write_bytes(normal.read_bytes())
    strict = {"PYTHONIOENCODING": f"{encoding}:strict"}
    with process("check", model, tmp_path, "--json", environment=strict, text=False) as running:
        out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    names = {json.loads(line.decode(encoding))["image"] for line in out.splitlines()}
    assert names == {"né→e.jpg", os.fsdecode(name)}
    for command in (
        ("check", model, tmp_path, "--out", tmp_path / "report"),
        ("inspect", tmp_path),
        ("preprocess", tmp_path, "--size", 16, "--out", tmp_path / "prepared"),
        ("calibrate", model, "--policy", "max", "--out", tmp_path / "m.anomalens"),
    ):
        with process(*command, environment=strict, text=False) as running:
            _, err = running.communicate(timeout=60)
        assert running.returncode == 0, (command, err)
