"""The report of a check: what the page says, what is in the folder, what it never touches."""

from __future__ import annotations

import gc
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomalens.calibration import Calibration, Policy
from anomalens.errors import InputError
from anomalens.images import ImageSet, Picture
from anomalens.inspector import Finding
from anomalens.reports import CheckReport, ModelRecord


def findings_in(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "findings.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def files_below(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_page_tells_verdicts_model_and_problems(check, inspector, photos, tmp_path, page_at) -> None:
    path = check(tmp_path / "report", photos)
    assert path == tmp_path / "report" / "index.html"
    page = page_at(path)
    assert "default-src &#x27;none&#x27;; img-src &#x27;self&#x27; file:;" in page.source
    assert "script" not in page.source and "http:" not in page.source
    findings = findings_in(path.parent)
    assert [f["image"] for f in findings] == [e.id for e in ImageSet.open(photos)]
    flagged = [f for f in findings if f["anomalous"]]
    assert "odd.png" in [f["image"] for f in flagged]
    assert f"{len(flagged)} of 5 images flagged" in page.text
    assert "the file is empty" in page.text
    assert f"{inspector.calibration.threshold.value:.4g}" in page.text
    assert "false-alarm-rate=0.05" in page.text
    order = [page.text.index(name) for name in ("empty.png", flagged[0]["image"])]
    assert order == sorted(order)
    for link in page.links:
        assert (path.parent / link).is_file(), link
    # each readable image has two pictures, each an image and a link to it, and the JSON is linked
    assert len(page.links) == 5 * 4 + 1


def test_cards_are_sorted_by_score(check, photos, tmp_path, page_at) -> None:
    page = page_at(check(tmp_path / "report", photos))
    findings = findings_in(tmp_path / "report")
    scored = [f for f in findings if f["score"] is not None]
    scored.sort(key=lambda f: (not f["anomalous"], -f["score"]))
    cards = page.source.split("<article")[1:]
    assert [f["image"] in card for f, card in zip(scored, cards[1:], strict=True)] == [True] * 5


def test_hostile_names_stay_text(check, tiles, tmp_path, page_at) -> None:
    folder = tmp_path / "photos"
    tile = next(iter(tiles.test.values()))
    names = [
        "<script>alert(1)<",
        '"onerror="alert(1)".png',
        "a\nb.png",
        "right\u202egnp.png",
        "&amp;.png",
        "ünï 😀.png",
        ("x" * 200) + ".png",
    ]
    for name in names:
        path = folder / name / "script>.png" if "." not in name else folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tile).save(path)
    page = page_at(check(tmp_path / "report", folder))
    assert "script" not in page.tags
    assert "<script>alert(1)</script>.png" in page.text
    assert "&amp;.png" in page.texts
    assert "\u202e" not in page.source and "right\\u202egnp.png" in page.text
    assert "a\\nb.png" in page.text
    assert "ünï 😀.png" in page.text
    for link in page.links:
        assert link.isascii() and (tmp_path / "report" / link).is_file()


def test_names_that_are_no_unicode(inspector, tiles, tmp_path) -> None:
    images = ImageSet.from_arrays([next(iter(tiles.test.values()))], ids=["caf\udce9.png"])
    report = CheckReport(tmp_path / "report", ModelRecord.of(inspector), images)
    report.add(next(inspector.check(images)))
    page = report.finish()
    assert "caf\\udce9.png" in page.read_text(encoding="utf-8")
    line = page.with_name("findings.jsonl").read_text(encoding="utf-8")
    assert json.loads(line)["image"] == "caf\udce9.png"


def test_running_again_replaces_its_own_and_leaves_foreign_files(check, photos, tmp_path) -> None:
    out = tmp_path / "report"
    check(out, photos)
    before = files_below(out)
    (out / "notes.txt").write_text("mine")
    (out / "overlays" / "9999-mine.jpg").write_text("mine")
    check(out, [photos / "odd.png"])
    after = files_below(out)
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "overlays" / "9999-mine.jpg").read_text() == "mine"
    assert {"overlays/0001-odd.jpg", "pictures/0001-odd.jpg"} <= after
    assert not any("tile" in name for name in after)
    assert len(after) < len(before)


@pytest.mark.parametrize("name", ["index.html", "findings.jsonl"])
def test_refuses_to_overwrite_a_foreign_file(name, check, photos, tmp_path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    (out / name).write_text("mine")
    with pytest.raises(InputError, match="choose another folder"):
        check(out, photos)
    assert files_below(out) == {name}
    assert (out / name).read_text() == "mine"


def test_a_picture_takes_another_name_where_a_foreign_file_has_it(check, photos, tmp_path) -> None:
    out = tmp_path / "site"
    (out / "pictures").mkdir(parents=True)
    (out / "pictures" / "0001-odd.jpg").write_text("mine")
    check(out, [photos / "odd.png"])
    assert (out / "pictures" / "0001-odd.jpg").read_text() == "mine"
    assert "pictures/0001-odd-2.jpg" in files_below(out)


def test_a_list_that_names_other_files_is_not_believed(check, photos, tmp_path) -> None:
    out = tmp_path / "report"
    out.mkdir()
    (tmp_path / "victim.jpg").write_text("mine")
    (out / "notes.txt").write_text("mine")
    files = ["../victim.jpg", "notes.txt", "overlays/../notes.txt"]
    (out / ".anomalens-report.json").write_text(json.dumps({"files": files}))
    check(out, [photos / "odd.png"])
    assert (tmp_path / "victim.jpg").exists() and (out / "notes.txt").exists()


def test_a_place_that_cannot_hold_a_report(inspector, photos, tmp_path) -> None:
    images = ImageSet.open(photos)
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="folder"):
            CheckReport(out, ModelRecord.of(inspector), images)


def test_stopping_leaves_the_former_report_as_it_was(check, inspector, photos, tmp_path) -> None:
    out = tmp_path / "report"
    check(out, photos)
    before = {name: (out / name).read_bytes() for name in files_below(out)}
    for place in (out, tmp_path / "new"):
        images = ImageSet.open(photos / "odd.png")
        report = CheckReport(place, ModelRecord.of(inspector), images)
        report.add(next(inspector.check(images)))
        del report
        gc.collect()
    assert {name: (out / name).read_bytes() for name in files_below(out)} == before
    assert not (tmp_path / "new").exists()


def test_the_most_suspicious_of_many_unflagged_get_the_pictures(check, tiles, tmp_path, page_at) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, tile in enumerate(list(tiles.normal.values())[:8]):
        Image.fromarray(tile).save(folder / f"{i}.png")
    out = tmp_path / "report"
    page = page_at(check(out, folder, unflagged_pictures=3))
    findings = findings_in(out)
    unflagged = sorted((f for f in findings if not f["anomalous"]), key=lambda f: -f["score"])
    assert len(unflagged) > 4
    chosen = [*unflagged[:3], *(f for f in findings if f["anomalous"])]
    kept = {f"{int(f['image'][0]) + 1:04d}-{f['image'][0]}.jpg" for f in chosen}
    assert {p.name for p in (out / "pictures").iterdir()} == kept
    assert {p.name for p in (out / "overlays").iterdir()} == kept
    assert f"the other {len(unflagged) - 3} are listed here" in page.text


def test_a_picture_that_vanished_keeps_its_verdict(inspector, photos, tmp_path, page_at) -> None:
    images = ImageSet.open(photos / "odd.png")
    finding = next(inspector.check(images))
    (photos / "odd.png").unlink()
    report = CheckReport(tmp_path / "report", ModelRecord.of(inspector), images)
    report.add(finding)
    text = page_at(report.finish()).text
    assert "1 of 1 image flagged" in text and "could not be read again" in text


def test_says_when_the_threshold_is_not_what_was_asked(inspector, photos, tmp_path, page_at) -> None:
    scores = inspector.calibration.scores
    few = Calibration.from_scores(
        scores[:4], scores[:4], policy=Policy("false-alarm-rate", 0.01), method="augmented"
    )
    images = ImageSet.open(photos / "odd.png")
    model = replace(inspector, calibration=few)
    report = CheckReport(tmp_path / "report", ModelRecord.of(model), images)
    report.add(next(model.check(images)))
    text = page_at(report.finish()).text
    assert "Uncalibrated" in text and few.threshold.note in text
    assert "by chance" not in text


def test_the_page_is_made_from_what_programs_read(inspector, photos, tmp_path, page_at) -> None:
    """A page from the lines of `check --json`, without the model: the same but for heat maps."""
    images, model = ImageSet.open(photos), ModelRecord.of(inspector)
    pages = []
    for name, reread in (("live", False), ("read", True)):
        report = CheckReport(tmp_path / name, model, images)
        for finding in inspector.check(images):
            report.add(Finding.from_json(finding.to_json()) if reread else finding)
        pages.append(page_at(report.finish()).text.partition("Written")[0])
    assert findings_in(tmp_path / "live") == findings_in(tmp_path / "read")
    assert pages[0].replace(" heat map", "") == pages[1].replace(" heat map", "")


@pytest.mark.parametrize(
    ("decoded", "original", "read_again"), [(100, 100, False), (900, 1000, False), (100, 1000, True)]
)
def test_a_picture_that_is_handed_over_is_shown_unless_it_is_too_small(
    decoded, original, read_again, inspector, photos, tmp_path
) -> None:
    """The caller's picture is grey, the file's is red: what is shown tells where it came from."""
    Image.new("RGB", (original, original), (255, 0, 0)).save(photos / "odd.png")
    images = ImageSet.open(photos / "odd.png")
    finding = replace(next(inspector.check(images)), anomalous=True)
    grey = Picture(np.full((decoded, decoded, 3), 90, np.uint8), (original, original))
    report = CheckReport(tmp_path / "report", ModelRecord.of(inspector), images)
    report.add(replace(finding, picture=grey))
    with Image.open(report.finish().parent / "pictures" / "0001-odd.jpg") as shown:
        red, green, _ = shown.convert("RGB").getpixel((50, 50))
    assert (red > 200 and green < 50) if read_again else abs(red - green) < 5


def test_a_picture_that_is_handed_over_is_not_read(inspector, photos, tmp_path, page_at) -> None:
    images = ImageSet.open(photos / "odd.png")
    finding, picture = next(inspector.check(images)), images.read(0)
    (photos / "odd.png").unlink()
    report = CheckReport(tmp_path / "report", ModelRecord.of(inspector), images)
    report.add(replace(finding, picture=picture))
    assert "could not be read again" not in page_at(report.finish()).text
    assert (tmp_path / "report" / "overlays" / "0001-odd.jpg").is_file()


def test_two_thousand_images_make_a_page(inspector, tiles, tmp_path, page_at) -> None:
    tile = next(iter(tiles.test.values()))
    images = ImageSet.from_arrays([tile] * 2000)
    finding = next(inspector.check(images.subset([0])))
    report = CheckReport(tmp_path / "report", ModelRecord.of(inspector), images, unflagged_pictures=5)
    scores = np.random.default_rng(0).uniform(5, 20, 2000)
    for i in range(2000):
        report.add(replace(finding, image=f"{i}.png", score=scores[i], anomalous=False))
    page = page_at(report.finish())
    assert "None of 2000 images flagged" in page.text
    assert page.source.count("<article") == 5
    assert len(page.source) < 500_000
