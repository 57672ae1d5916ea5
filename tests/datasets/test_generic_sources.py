"""Folders, manifests, arrays and tars of one's own; protocols, and what they refuse."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from anomalens.datasets import Task, check_hygiene, load_tasks, read_mask
from anomalens.errors import ImageError, ImageSetError, InputError, SettingError
from anomalens.images import ImageEntry, ImageSet


def labels(images):
    return dict(Counter(entry.label for entry in images))


def save_npz(path, *, classes=3, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 255, (12, 8, 8), np.uint8),
        "y_train": np.arange(12) % classes,
        "x_test": rng.integers(0, 255, (6, 8, 8, 3), np.uint8),
        "y_test": np.arange(6) % classes,
        "class_names": np.array(["ant", "bee", "cat"][:classes]),
        **changes,
    }
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def test_class_folders_with_parts_are_classes(draw, tmp_path):
    for part, count in (("train", 4), ("test", 2)):
        for name in ("ant", "bee"):
            for i in range(count):
                draw(f"{part}/{name}/{i}.png")
    tasks = load_tasks(tmp_path)
    assert [task.normal_class for task in tasks] == ["ant", "bee"]
    assert (len(tasks[0].train), labels(tasks[0].test)) == (4, {"good": 2, "bee": 2})


def test_class_folders_without_parts_are_split_by_seed(draw, tmp_path):
    for name in ("ant", "bee"):
        for i in range(8):
            draw(f"{name}/{i}.png")
    tasks = load_tasks(tmp_path)
    assert [(len(task.train), labels(task.test)["good"]) for task in tasks] == [(6, 2), (6, 2)]
    assert [e.id for e in load_tasks(tmp_path)[0].train] == [e.id for e in tasks[0].train]
    assert "without a split" in tasks[0].notes[0]


def test_a_normal_class_beside_others_is_one_task(draw, tmp_path):
    for i in range(8):
        draw(f"normal/{i}.png")
    draw("scratched/0.png")
    (task,) = load_tasks(tmp_path)
    assert (task.protocol, len(task.train), labels(task.test)) == ("split", 6, {"good": 2, "scratched": 1})


def test_a_flat_folder_measures_false_alarms_only(draw, tmp_path):
    for i in range(4):
        draw(f"{i}.png")
    (task,) = load_tasks(tmp_path)
    assert (len(task.train), labels(task.test)) == (3, {"good": 1})
    assert "only false alarms" in task.notes[-1]


def test_a_manifest_with_a_split_column(draw, tmp_path):
    for i in range(5):
        draw(f"{i}.png")
    draw("m.png", value=0, mark=True)
    manifest = tmp_path / "list.csv"
    manifest.write_text(
        "path,label,split,mask,group\n0.png,good,train,,a\n1.png,crack,train,,b\n2.png,good,Test,,a\n"
        "3.png,crack,test,m.png,c\n"
    )
    (task,) = load_tasks(manifest)
    assert (task.dataset, len(task.train), labels(task.test)) == ("list", 1, {"good": 1, "crack": 1})
    assert task.notes == ("1 anomalous training images are not used.",)
    assert read_mask(task.test[1], (24, 20)).sum() == 24
    found = check_hygiene(task)
    assert (found.shared_groups, found.grouped) == (("a",), 1)
    assert any("1 groups that are learnt from" in sentence for sentence in found.warnings)
    assert any("capture session" in sentence for sentence in found.warnings)


def test_a_manifest_without_a_split_column_keeps_groups_whole(draw, tmp_path):
    lines = ["path,label,group"]
    for i in range(12):
        draw(f"{i}.png")
        lines.append(f"{i}.png,{'good' if i < 10 else 'crack'},{'ab'[i % 2] if i < 10 else 'z'}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    (task,) = load_tasks(tmp_path / "list.csv")
    assert (len(task.train), labels(task.test)) == (5, {"good": 5, "crack": 2})
    assert len({entry.group for entry in task.train}) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("path,split\na.png,train\n", "gives no label for a.png"),
        ("path,label,split\na.png,good,train\nb.png,good,\n", "no split for 1 images"),
        ("path,label,split\na.png,good,valid\n", "write train or test"),
        ("path,label,split\na.png,crack,train\na.png,good,test\n", "no normal training image|no split"),
    ],
)
def test_an_unusable_manifest_is_refused(tmp_path, text, problem):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ImageSetError, match=problem):
        load_tasks(tmp_path / "list.csv")


def test_arrays_without_names_and_a_class_called_good(tmp_path):
    tasks = load_tasks(save_npz(tmp_path / "a.npz", class_names=None))
    assert [task.normal_class for task in tasks] == ["0", "1", "2"]
    assert labels(tasks[0].test) == {"good": 2, "1": 2, "2": 2}
    named = load_tasks(save_npz(tmp_path / "b.npz", class_names=np.array(["good", "bee", "cat"])))
    assert [(task.protocol, task.normal_class) for task in named] == [("split", "good")]
    other = load_tasks(tmp_path / "b.npz", protocol="one-vs-rest", normal_class="bee")[0]
    assert labels(other.test) == {"good": 2, "class good": 2, "cat": 2}


def test_arrays_are_read_only_views(tmp_path):
    task = load_tasks(save_npz(tmp_path / "a.npz"))[0]
    with pytest.raises(ValueError, match="read-only"):
        task.train[0].source.array[0, 0] = 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"x_test": None}, "x_test and y_test are needed"),
        ({"y_train": None}, "one of x_train and y_train"),
        ({"y_test": np.arange(5)}, "one label an image"),
        ({"y_test": np.full(6, 7)}, "labels go from 7 to 7"),
        ({"y_test": np.full(6, -1)}, "labels go from -1"),
        ({"y_test": np.full(6, 0.5)}, "whole numbers"),
        ({"x_test": np.zeros((6, 8), np.uint8)}, "shape"),
        ({"x_test": np.zeros((6, 3, 8, 8), np.uint8)}, "move the axes"),
        ({"x_test": np.zeros((6, 8, 8), np.int64)}, "convert to uint8"),
        ({"class_names": np.array(["a", "a", "b"])}, "twice"),
        ({"class_names": np.array([1, 2, 3])}, "a list of texts"),
        ({"class_names": np.array(["a", "b", "c"], object)}, "Python objects"),
        ({"class_names": None, "y_test": np.full(6, 10**6)}, "no class numbers"),
    ],
)
def test_unusable_arrays_are_refused(tmp_path, changes, problem):
    with pytest.raises(ImageSetError, match=problem):
        load_tasks(save_npz(tmp_path / "a.npz", **changes))


def forged(path, header, data=b"", *, compression=zipfile.ZIP_STORED):
    raw = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x_test.npy", raw)
    return path


@pytest.mark.parametrize(
    ("header", "data", "problem"),
    [
        (b"{'descr':'|u1','fortran_order':False,'shape':(999999,999999,9)}", b"", "GB and at most"),
        (b"{'descr':'|u1','fortran_order':False,'shape':(9,9,9)}", b"abc", "truncated"),
        (b"{'descr':'|u1','fortran_order':False,'shape':(1,2,2)}", b"abcdefgh", "more than its header says"),
        (b"{'descr':'|O','fortran_order':False,'shape':(1,)}", b"cposix\nsystem\n", "Python objects"),
        (b"__import__('os')", b"", "damaged or of another kind"),
        (b"x" * 20_000, b"", "header of an unknown kind"),
    ],
)
def test_a_forged_array_is_refused_before_memory_is_taken(tmp_path, header, data, problem):
    with pytest.raises(ImageSetError, match=problem):
        load_tasks(forged(tmp_path / "a.npz", header, data, compression=zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize("cut", [0, 10, 200, -30])
def test_a_damaged_archive_of_arrays_is_refused(tmp_path, cut):
    path = save_npz(tmp_path / "a.npz")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ImageSetError, match=r"damaged or of another kind"):
        load_tasks(path)


def picture():
    stream = io.BytesIO()
    Image.new("L", (8, 8), 90).save(stream, "PNG")
    return stream.getvalue()


def pack(path, *members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, kind in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            data = picture() if kind == tarfile.REGTYPE else b""
            member.size, member.linkname = len(data), "elsewhere" if not data else ""
            archive.addfile(member, io.BytesIO(data))
    return path


FILE = tarfile.REGTYPE


def test_a_tar_of_class_folders_without_parts_and_below_a_common_folder(tmp_path):
    names = [(f"set/{label}/{i}.png", FILE) for label in ("ant", "bee") for i in range(4)]
    tasks = load_tasks(pack(tmp_path / "a.tar", *names))
    assert [task.normal_class for task in tasks] == ["ant", "bee"]
    assert len(tasks[0].train) == 3
    assert tasks[0].train.read(0).pixels.shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ([("../a/1.png", FILE)], "leads out of the archive"),
        ([("/etc/1.png", FILE)], "leads out of the archive"),
        ([("c:\\a\\1.png", FILE)], "leads out of the archive"),
        ([("a/1.png", tarfile.SYMTYPE)], "is a link"),
        ([("a/1.png", tarfile.LNKTYPE)], "is a link"),
        ([("a/1.png", tarfile.CHRTYPE)], "is a link, device"),
        ([("1.png", FILE), ("a/2.png", FILE)], "lies in no class folder"),
        ([("a/readme.txt", FILE)], "holds no image"),
    ],
)
def test_a_tar_that_cannot_be_trusted_is_refused(tmp_path, members, problem):
    with pytest.raises(ImageSetError, match=problem):
        load_tasks(pack(tmp_path / "a.tar", *members))


def test_a_compressed_or_truncated_tar_is_refused(tmp_path):
    with pytest.raises(ImageSetError, match=r"tar xf a\.tar\.gz"):
        load_tasks(pack(tmp_path / "a.tar.gz", ("a/1.png", FILE), mode="w:gz"))
    names = [(f"{label}/{i}.png", FILE) for label in ("a", "b") for i in range(4)]
    path = pack(tmp_path / "b.tar", *names)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ImageSetError, match=r"damaged|truncated"):
        load_tasks(path)
    whole = pack(tmp_path / "c.tar", *names).read_bytes()
    for broken in (whole[:2048], whole[:2048] + b"x" * 512 + whole[2560:]):
        path.write_bytes(broken)  # tarfile itself takes both for the end of the archive
        with pytest.raises(ImageSetError, match="damaged or truncated behind its file 2"):
            load_tasks(path)
    path.write_bytes(b"no tar at all" * 100)
    with pytest.raises(ImageSetError, match="damaged or of another kind"):
        load_tasks(path)


def test_a_tar_that_changes_after_it_was_listed_costs_single_images(tmp_path):
    names = [(f"{label}/{i}.png", FILE) for label in ("a", "b") for i in range(4)]
    path = pack(tmp_path / "b.tar", *names)
    test = load_tasks(path)[0].test
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ImageError, match="truncated"):
        test.read(len(test) - 1)
    with pytest.raises(ImageError, match="truncated"):
        test.sha256(len(test) - 1)


def test_clips_need_a_label_for_every_frame(tmp_path):
    frames = [(f"{i:03d}.png", FILE) for i in range(3)]
    pack(tmp_path / "train_01.tar", *frames)
    pack(tmp_path / "test_01.tar", *frames)
    with pytest.raises(ImageSetError, match="cannot be read"):
        load_tasks(tmp_path)
    (tmp_path / "test_01_labels.txt").write_text("0\n1\n")
    with pytest.raises(ImageSetError, match="2 labels for 3 frames"):
        load_tasks(tmp_path)
    (tmp_path / "test_01_labels.txt").write_text("0\n1\nmaybe\n")
    with pytest.raises(ImageSetError, match="must hold 0"):
        load_tasks(tmp_path)
    (tmp_path / "test_01_labels.txt").write_text("0\n1\n0\n")
    assert labels(load_tasks(tmp_path)[0].test) == {"good": 2, "defect": 1}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"protocol": "one-vs-all"}, "did you mean 'one-vs-rest'"),
        ({"protocol": "few-shot"}, "needs a number of images"),
        ({"shots": 0}, "number of shots is 0"),
        ({"normal_class": "ent"}, "did you mean 'ant'"),
        ({"category": "ant"}, "normal_class='ant'"),
        ({"protocol": "split"}, "None of the classes"),
        ({"protocol": "in-vs-out"}, "needs to know what is in"),
        ({"protocol": "in-vs-out", "normal_class": "ant,bea"}, "did you mean 'bee'"),
        ({"protocol": "one-vs-rest", "against": "mnist"}, "mnist needs its data|leave one out"),
        ({"protocol": "leave-one-class-out", "normal_class": "dog"}, "no class"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": True}, "seed is True"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, options, problem):
    path = save_npz(tmp_path / "a.npz")
    with pytest.raises(InputError, match=problem):
        load_tasks(path, **options)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"protocol": "one-vs-rest"}, "which needs classes"),
        ({"protocol": "in-vs-out"}, "against=NAME"),
        ({"category": "x"}, "has no categories"),
        ({"normal_class": "x"}, "leave normal_class out"),
    ],
)
def test_options_for_classes_are_refused_for_a_published_split(draw, tmp_path, options, problem):
    for name in ("train/good/0.png", "test/good/0.png", "test/crack/0.png"):
        draw(name)
    with pytest.raises(SettingError, match=problem):
        load_tasks(tmp_path, **options)


def test_a_published_split_against_another_dataset(draw, tmp_path):
    for name in ("a/train/good/0.png", "a/test/good/0.png", "a/test/crack/0.png"):
        draw(name)
    (task,) = load_tasks(tmp_path / "a", against=save_npz(tmp_path / "b.npz"))
    assert (task.protocol, labels(task.test)) == ("in-vs-out", {"good": 1, "b": 6})


def test_unknown_and_missing_names_say_what_to_do(tmp_path):
    with pytest.raises(SettingError, match="did you mean 'fashion-mnist'"):
        load_tasks("fashion-mnits")
    with pytest.raises(ImageSetError, match=r"fetch .*mvtec_anomaly_detection.*repeat with --root DIR"):
        load_tasks("mvtec-ad")
    with pytest.raises(ImageSetError, match=r"was not found in .* put it there and repeat with --root"):
        load_tasks("visa", root=tmp_path)
    with pytest.raises(ImageSetError, match="anomalens datasets svhn --root DIR --download"):
        load_tasks("svhn", root=tmp_path)
    with pytest.raises(ImageSetError, match=r"no folder .*check --root"):
        load_tasks("visa", root=tmp_path / "nowhere")
    with pytest.raises(ImageSetError, match="no file or folder"):
        load_tasks(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageSetError, match="no dataset that is recognised"):
        load_tasks(tmp_path / "empty")


def test_a_name_in_a_folder_of_that_name_means_that_one(tmp_path, monkeypatch):
    (tmp_path / "mnist").mkdir()
    save_npz(tmp_path / "mnist/a.npz")
    monkeypatch.chdir(tmp_path)
    assert load_tasks("mnist")[0].dataset == "mnist"
    assert load_tasks("mnist/a.npz")[0].dataset == "a"
    assert load_tasks("mnist/a.npz", root=tmp_path)[0].dataset == "a"


def test_masks_that_do_not_fit_are_refused(draw, tmp_path):
    mask = draw("mask.png", value=0, mark=True)
    entry = ImageEntry("a", tmp_path / "a.png", "x", "anomalous", mask)
    assert read_mask(entry, (24, 20)).sum() == 24
    with pytest.raises(ImageSetError, match=r"24 x 20 pixels and its image a has 20 x 24"):
        read_mask(entry, (20, 24))
    boxes = tmp_path / "boxes.txt"
    for text, problem in (
        ("1 2 3", "no box"),
        ("a b c d", "no box"),
        ("0 0 99 5 1", "outside"),
        ("5 5 2 9", "outside"),
    ):
        boxes.write_text(text)
        with pytest.raises(ImageSetError, match=problem):
            read_mask(ImageEntry("a", tmp_path, mask=boxes), (24, 20))
    (tmp_path / "none").mkdir()
    with pytest.raises(ImageSetError, match="is empty"):
        read_mask(ImageEntry("a", tmp_path, mask=tmp_path / "none"), (24, 20))
    with pytest.raises(ImageError, match="no such file"):
        read_mask(ImageEntry("a", tmp_path, mask=tmp_path / "gone.png"), (24, 20))
    assert read_mask(ImageEntry("a", tmp_path), (24, 20)) is None


def test_hygiene_counts_copies_and_names_them(draw, tmp_path):
    for i in range(4):
        draw(f"train/good/{i}.png", size=(64, 64))
    copy = draw("test/good/9.png", size=(64, 64))
    copy.write_bytes((tmp_path / "train/good/2.png").read_bytes())
    draw("test/crack/0.png", size=(64, 64))
    with Image.open(tmp_path / "train/good/1.png") as image:
        image.point(lambda value: value * 0.8 + 10).save(tmp_path / "test/crack/1.png")
    (tmp_path / "test/crack/2.png").write_bytes(b"")
    (task,) = load_tasks(tmp_path)
    found = check_hygiene(task)
    assert (found.exact, found.exact_examples) == (1, (("train/good/2.png", "test/good/9.png"),))
    assert (found.near, found.near_examples) == (1, (("train/good/1.png", "test/crack/1.png"),))
    assert found.warnings and found.near_rate == 1 and found.near_normal == 1
    assert check_hygiene(task, limit=0).compared == 0
    with pytest.raises(SettingError, match="limit"):
        check_hygiene(task, limit=-1)


def test_a_task_is_named_by_what_tells_it_apart():
    empty = ImageSet((), "x")
    task = Task("cifar-10", "few-shot", None, "cat", 4, empty, empty)
    assert task.name == "cifar-10/cat/4-shot"
