"""`calibrate --with-defects`."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def test_the_command_says_what_it_rests_on(
    model: Path, broken: Path, normal: Path, tmp_path: Path, anomalens: Any
) -> None:
    folder = tmp_path / "scratched"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.png").write_bytes(broken.read_bytes())
    out = tmp_path / "tuned.anomalens"
    answer = anomalens("calibrate", model, "--with-defects", folder, "--out", out)
    assert answer.code == 0
    assert answer.lines[0].startswith("With 8 known defects the false-alarm rate is set to 0.0323: 8 of them")
    assert anomalens("check", out, broken).code == 1 and anomalens("check", out, normal).code == 0
    again = anomalens("calibrate", model, "--with-defects", folder, "--policy", "max", "--out", out)
    assert again.code == 2 and "leave out the policy" in again.err
