"""The published layouts of which no real images are here, as tiny generated trees."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections import Counter

import numpy as np
import pytest
from scipy.io import savemat

from anomalens.datasets import load_tasks, read_mask
from anomalens.errors import ImageSetError
from anomalens.images import ImageSet


def labels(images: ImageSet) -> dict[str | None, int]:
    return dict(Counter(entry.label for entry in images))


def mask_of(task, index):
    return read_mask(task.test[index], task.test.read(index).size)


@pytest.mark.parametrize(
    ("name", "categories", "good", "bad", "above"),
    [
        ("mvtec-ad", ("bottle", "zipper"), "good", "broken", "renamed"),
        ("btad", ("01", "03"), "ok", "ko", "BTech_Dataset_transformed"),
        ("mpdd", ("bracket_black", "tubes"), "good", "scratches", "a/b"),
        ("visa", ("candle", "pcb1"), "good", "bad", "visa_pytorch/1cls"),
    ],
)
def test_sets_in_mvtecs_layout_are_told_apart_by_their_categories(
    draw, tmp_path, name, categories, good, bad, above
):
    for category in categories:
        for i in range(3):
            draw(f"{above}/{category}/train/{good}/{i}.png")
        draw(f"{above}/{category}/test/{good}/0.png")
        draw(f"{above}/{category}/test/{bad}/7.png")
        suffix = "" if name in ("btad", "visa") else "_mask"
        draw(f"{above}/{category}/ground_truth/{bad}/7{suffix}.png", value=0, mark=True)
    for root in (tmp_path, tmp_path / above):
        tasks = load_tasks(name, root=root)
        assert [task.category for task in tasks] == list(categories)
        assert len(tasks[0].train) == 3
        assert labels(tasks[0].test) == {"good": 1, bad: 1}
        at = [entry.label for entry in tasks[0].test].index(bad)
        assert mask_of(tasks[0], at).sum() == 24
    other = "mpdd" if name != "mpdd" else "btad"
    with pytest.raises(ImageSetError, match="was not found"):
        load_tasks(other, root=tmp_path)


def test_loco_has_a_mask_for_each_fault_and_validation_images(draw, tmp_path):
    base = "loco/pushpins"
    for i in range(3):
        draw(f"{base}/train/good/{i}.png")
    draw(f"{base}/validation/good/0.png")
    draw(f"{base}/test/good/0.png")
    draw(f"{base}/test/logical_anomalies/000.png")
    draw(f"{base}/ground_truth/logical_anomalies/000/000.png", value=0, mark=True)
    second = np.zeros((20, 24), np.uint8)
    second[10:12, 0:4] = 7
    from PIL import Image

    Image.fromarray(second).save(tmp_path / base / "ground_truth/logical_anomalies/000/001.png")
    (task,) = load_tasks("mvtec-loco", root=tmp_path)
    at = [entry.label for entry in task.test].index("logical_anomalies")
    assert mask_of(task, at).sum() == 24 + 8
    assert task.notes == ("the published validation images are not used.",)

    for path in (tmp_path / base / "test/good").iterdir():
        path.unlink()
    (task,) = load_tasks("mvtec-loco", root=tmp_path)
    assert labels(task.test) == {"good": 1, "logical_anomalies": 1}
    assert "validation images are used as normal test images" in task.notes[0]


def test_mvtec_3d_gives_its_colour_images(draw, tmp_path):
    draw("3d/bagel/train/good/rgb/000.png")
    draw("3d/bagel/validation/good/rgb/000.png")
    draw("3d/bagel/test/good/rgb/000.png")
    draw("3d/bagel/test/good/gt/000.png", value=0)
    draw("3d/bagel/test/hole/rgb/000.png")
    draw("3d/bagel/test/hole/gt/000.png", value=0, mark=True)
    draw("3d/bagel/test/hole/xyz/000.tiff")
    (task,) = load_tasks("mvtec-3d-ad", root=tmp_path)
    assert (task.category, len(task.train), labels(task.test)) == ("bagel", 1, {"good": 1, "hole": 1})
    assert mask_of(task, 0) is None and mask_of(task, 1).any()


def test_visa_follows_its_published_split(draw, tmp_path):
    base = "VisA_20220922"
    lines = ["object,split,label,image,mask"]
    for i, split in enumerate(("train", "train", "test")):
        draw(f"{base}/candle/Data/Images/Normal/{i}.JPG")
        lines.append(f"candle,{split},normal,candle/Data/Images/Normal/{i}.JPG,")
    draw(f"{base}/candle/Data/Images/Anomaly/0.JPG")
    draw(f"{base}/candle/Data/Masks/Anomaly/0.png", value=0, mark=True)
    lines.append("candle,test,anomaly,candle/Data/Images/Anomaly/0.JPG,candle/Data/Masks/Anomaly/0.png")
    listed = tmp_path / base / "split_csv/1cls.csv"
    listed.parent.mkdir()
    listed.write_text("\n".join(lines))
    (task,) = load_tasks("visa", root=tmp_path)
    assert (task.category, len(task.train), labels(task.test)) == ("candle", 2, {"good": 1, "defect": 1})
    assert mask_of(task, 1).sum() == 24

    listed.write_text(lines[0] + "\ncandle,test,normal,../../secret.png,\n")
    with pytest.raises(ImageSetError, match="leads out of the dataset"):
        load_tasks("visa", root=tmp_path)
    listed.write_text("object,split\ncandle,test\n")
    with pytest.raises(ImageSetError, match="needs object, split"):
        load_tasks("visa", root=tmp_path)


def test_magnetic_tiles_as_published_keep_exposures_together(draw, tmp_path):
    for tile in range(12):
        for exposure in range(1, 5):
            number = 1000 * tile + 10 * exposure
            draw(f"repo/MT_Free/Imgs/exp{exposure}_num_{number}.jpg")
            draw(f"repo/MT_Free/Imgs/exp{exposure}_num_{number}.png", value=0)
    draw("repo/MT_Blowhole/Imgs/exp1_num_90000.jpg")
    draw("repo/MT_Blowhole/Imgs/exp1_num_90000.png", value=0, mark=True)
    for tile in range(12):  # a defect of a tile whose normal images exist
        draw(f"repo/MT_Crack/Imgs/exp6_num_{1000 * tile + 60}.jpg")
    (task,) = load_tasks("magnetic-tile", root=tmp_path)
    learnt = {entry.group for entry in task.train}
    assert len(learnt) == 9 and len(task.train) == 36  # three in ten tiles stay for testing
    assert not learnt & {entry.group for entry in task.test}
    assert labels(task.test) == {"good": 12, "blowhole": 1, "crack": 3}
    assert "9 anomalous images were left out" in task.notes[1]
    assert sum(entry.mask is not None for entry in task.test) == 1
    same = load_tasks(tmp_path)[0]  # recognised without its name
    assert [entry.id for entry in same.train] == [entry.id for entry in task.train]
    assert {e.group for e in load_tasks(tmp_path, seed=5)[0].train} != learnt


def test_kolektor_reads_normal_and_defective_from_its_labels(draw, tmp_path):
    for item in range(1, 7):
        for part in range(3):
            draw(f"KolektorSDD/kos{item:02d}/Part{part}.jpg")
            draw(f"KolektorSDD/kos{item:02d}/Part{part}_label.bmp", value=0, mark=part == 0)
    (task,) = load_tasks("kolektorsdd", root=tmp_path)
    learnt = {entry.group for entry in task.train}
    assert len(learnt) == 3 and labels(task.test) == {"good": 6, "defect": 3}
    assert not learnt & {entry.group for entry in task.test}
    at = [entry.label for entry in task.test].index("defect")
    assert mask_of(task, at).sum() == 24
    (tmp_path / "KolektorSDD/kos01/Part0_label.bmp").unlink()
    with pytest.raises(ImageSetError, match=r"no Part0_label\.bmp beside it"):
        load_tasks("kolektor-sdd", root=tmp_path)


def test_dagm_classes_in_numeric_order(draw, tmp_path):
    for number in (1, 2, 10):
        for part in ("Train", "Test"):
            draw(f"dagm/Class{number}/{part}/0001.PNG")
            draw(f"dagm/Class{number}/{part}/0002.PNG")
            draw(f"dagm/Class{number}/{part}/Label/0002_label.PNG", value=0, mark=True)
    tasks = load_tasks("dagm", root=tmp_path)
    assert [task.category for task in tasks] == ["Class1", "Class2", "Class10"]
    assert (len(tasks[0].train), labels(tasks[0].test)) == (1, {"good": 1, "defect": 1})
    assert "1 defective images" in tasks[0].notes[0]
    assert mask_of(tasks[0], 1).sum() == 24


@pytest.mark.parametrize(
    ("name", "good", "bad", "kind"),
    [("metu-cracks", "Negative", "Positive", "crack"), ("brain-mri", "no", "yes", "tumor")],
)
def test_two_folders_without_a_split_are_split_by_seed(draw, tmp_path, name, good, bad, kind):
    for i in range(8):
        draw(f"download/{good}/{i:05d}.jpg")
    for i in range(3):
        draw(f"download/{bad}/{i:05d}.jpg")
    (task,) = load_tasks(name, root=tmp_path)
    assert (len(task.train), labels(task.test)) == (6, {"good": 2, kind: 3})
    assert "published without a split: 6 of 8" in task.notes[0]


def test_malaria_as_published_keeps_patients_together(draw, tmp_path):
    for patient in range(8):
        for cell in range(4):
            draw(f"cell_images/Uninfected/C{patient}P{patient}ThinF_IMG_2015_1_cell_{cell}.png")
        draw(f"cell_images/Parasitized/C{patient}P{patient}ThinF_IMG_2015_2_cell_9.png")
    (task,) = load_tasks("malaria", root=tmp_path)
    learnt = {entry.group for entry in task.train}
    assert "C3P3" in learnt | {entry.group for entry in task.test}
    assert len(task.train) == 24 and labels(task.test) == {"good": 8, "parasitized": 2}
    assert not learnt & {entry.group for entry in task.test}


def test_deeppcb_as_published(draw, tmp_path):
    for i in range(4):
        draw(f"PCBData/group00041/00041/0004100{i}_temp.jpg", size=(64, 64))
        draw(f"PCBData/group00041/00041/0004100{i}_test.jpg", size=(64, 64))
        boxes = tmp_path / f"PCBData/group00041/00041_not/0004100{i}.txt"
        boxes.parent.mkdir(exist_ok=True)
        boxes.write_text("10,10,20,30,1\n40 40 50 50 3\n")
    for root in (tmp_path, tmp_path / "PCBData"):
        (task,) = load_tasks("deeppcb", root=root)
        assert (task.category, len(task.train), labels(task.test)) == ("00041", 2, {"good": 2, "defect": 2})
        assert mask_of(task, 1).sum() == 10 * 20 + 10 * 10


def crack_truth(path, mask, *, compressed):
    structure = {"Segmentation": mask.astype(np.uint16) + 1, "Boundaries": mask}
    savemat(path, {"groundTruth": structure}, do_compression=compressed)


@pytest.mark.parametrize("compressed", [True, False])
def test_crackforest_is_cut_into_tiles(draw, tmp_path, compressed):
    truths = tmp_path / "CFD/groundTruth"
    truths.mkdir(parents=True)
    for i in range(1, 5):
        draw(f"CFD/image/{i:03d}.jpg", size=(480, 320))
        mask = np.zeros((320, 480), np.uint8)
        mask[10:100, 20:30] = 1  # one cracked tile
        mask[200, 200] = 1  # one that is merely touched
        crack_truth(truths / f"{i:03d}.mat", mask, compressed=compressed)
    draw("CFD/image/155.jpg", size=(480, 320))  # published without truth
    (task,) = load_tasks("crackforest", root=tmp_path)
    assert (len(task.train), labels(task.test)) == (8, {"good": 8, "crack": 2})
    assert task.test.read(0).pixels.shape == (160, 160, 3)
    assert "4 tiles that a crack merely touches" in task.notes[-1]


def write_idx(path, array, *, zipped):
    data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if zipped else data)


@pytest.mark.parametrize("zipped", [True, False])
def test_mnist_as_published(tmp_path, zipped):
    rng = np.random.default_rng(0)
    images = {
        "train": rng.integers(0, 255, (20, 28, 28), np.uint8),
        "t10k": rng.integers(0, 255, (10, 28, 28), np.uint8),
    }
    for stem, array in images.items():
        end = ".gz" if zipped else ""
        write_idx(tmp_path / f"{stem}-images-idx3-ubyte{end}", array, zipped=zipped)
        numbers = (np.arange(len(array)) % 10).astype(np.uint8)
        write_idx(tmp_path / f"{stem}-labels-idx1-ubyte{end}", numbers, zipped=zipped)
    tasks = load_tasks("mnist", root=tmp_path)
    assert [(len(task.train), len(task.test)) for task in tasks] == [(2, 10)] * 10
    assert (tasks[3].train.read(1).pixels[..., 0] == images["train"][13]).all()


def cifar_files(prefix, names, parts, *, coarse):
    rng = np.random.default_rng(0)
    files = {names[0]: names[1].encode()}
    for name in parts:
        records = rng.integers(0, 255, (8, (2 if coarse else 1) + 3072), np.uint8)
        records[:, 0] = np.arange(8) % 2
        files[name] = records.tobytes()
    return {f"{prefix}/{name}": data for name, data in files.items()}


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", ["cifar-10", "cifar-100"])
def test_cifar_in_its_binary_version(tmp_path, name, packed):
    coarse = name == "cifar-100"
    batches = (
        ["train.bin", "test.bin"]
        if coarse
        else [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    )
    listed = (
        ("coarse_label_names.txt", "fish\nflowers\n") if coarse else ("batches.meta.txt", "ship\ntruck\n\n")
    )
    files = cifar_files("cifar-bin", listed, batches, coarse=coarse)
    if packed:
        with tarfile.open(tmp_path / f"{name}-binary.tar.gz", "w:gz") as archive:
            for path, data in files.items():
                member = tarfile.TarInfo(path)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    else:
        (tmp_path / "cifar-bin").mkdir()
        for path, data in files.items():
            (tmp_path / path).write_bytes(data)
    tasks = load_tasks(name, root=tmp_path)
    assert [task.normal_class for task in tasks] == listed[1].split()
    assert len(tasks[0].train) == (4 if coarse else 20)
    record = np.frombuffer(files[f"cifar-bin/{batches[-1]}"], np.uint8).reshape(8, -1)[5]
    assert (tasks[0].test.read(5).pixels == record[-3072:].reshape(3, 32, 32).transpose(1, 2, 0)).all()


@pytest.mark.parametrize("compressed", [True, False])
def test_svhn_as_published(tmp_path, compressed):
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        images = rng.integers(0, 255, (32, 32, 3, 20), np.uint8)
        numbers = (np.arange(20) % 10 + 1).astype(np.uint8)[:, None]
        savemat(tmp_path / f"{part}_32x32.mat", {"X": images, "y": numbers}, do_compression=compressed)
    tasks = load_tasks("svhn", root=tmp_path)
    assert [task.normal_class for task in tasks] == list("0123456789")
    assert (tasks[1].test.read(3).pixels == images[..., 3]).all()
    assert [entry.label for entry in tasks[0].test][8:11] == ["9", "good", "1"]


def test_fer2013_as_published(tmp_path):
    face = " ".join(["7"] * 2304)
    rows = [f"{i % 7},{face},{part}" for part in ("Training", "PublicTest", "PrivateTest") for i in range(7)]
    table = tmp_path / "fer2013.csv"
    table.write_text("emotion,pixels,Usage\n" + "\n".join(rows))
    tasks = load_tasks("fer2013", root=tmp_path)
    assert [task.normal_class for task in tasks][:2] == ["angry", "disgust"]
    assert (len(tasks[0].train), len(tasks[0].test), tasks[0].notes) == (1, 7, ())
    assert (tasks[0].test.read(0).pixels == 7).all()
    table.write_text("emotion,pixels,Usage\n" + "\n".join(rows[:14]))
    assert "PublicTest" in load_tasks(table)[0].notes[0]


@pytest.mark.parametrize("script", [True, False])
def test_ped2_as_published(draw, tmp_path, script):
    base = "UCSD_Anomaly_Dataset.v1p2/UCSDped2"
    for frame in range(1, 5):
        draw(f"{base}/Train/Train001/{frame:03d}.tif")
        for clip in (1, 2):
            draw(f"{base}/Test/Test{clip:03d}/{frame:03d}.tif")
            draw(f"{base}/Test/Test{clip:03d}_gt/{frame:03d}.bmp", value=0, mark=frame > 2)
    if script:
        (tmp_path / base / "Test/UCSDped2.m").write_text(
            "TestVideoFile = {};\nTestVideoFile{end+1}.gt_frame = [3:4];\nTestVideoFile{end+1}.gt_frame = "
            "[1, 3:4];\n"
        )
    (task,) = load_tasks("ucsd-ped2", root=tmp_path)
    assert len(task.train) == 4 and task.train[0].group == "Train001"
    odd = [entry.label == "defect" for entry in task.test]
    assert odd == [False, False, True, True, script, False, True, True]
    assert mask_of(task, 2).sum() == 24 and mask_of(task, 0) is None


def test_cifar_100_by_its_fine_classes(tmp_path):
    records = np.zeros((6, 2 + 3072), np.uint8)
    records[:, 0], records[:, 1] = 0, np.arange(6) % 3
    for part in ("train", "test"):
        (tmp_path / f"{part}.bin").write_bytes(records.tobytes())
    (tmp_path / "coarse_label_names.txt").write_text("fish\nflowers\n")
    (tmp_path / "fine_label_names.txt").write_text("ray\nshark\ntrout\n")
    tasks = load_tasks("cifar-100-fine", root=tmp_path)
    assert [task.normal_class for task in tasks] == ["ray", "shark", "trout"]
    assert len(tasks[0].train) == 2 and labels(tasks[1].test) == {"good": 2, "ray": 2, "trout": 2}


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("name", ["dtd", "textures"])
def test_textures_as_published(draw, tmp_path, name, listed):
    for kind in ("banded", "zigzagged"):
        for i in range(4):
            draw(f"dtd/images/{kind}/{kind}_{i:04d}.png")
    if listed:
        (tmp_path / "dtd/labels").mkdir()
        for part, i in (("train1", 0), ("val1", 1), ("test1", 2), ("train2", 3)):
            lines = (f"{kind}/{kind}_{i:04d}.png\n" for kind in ("banded", "zigzagged"))
            (tmp_path / f"dtd/labels/{part}.txt").write_text("".join(lines))
    tasks = load_tasks(name, root=tmp_path)
    assert [task.normal_class for task in tasks] == ["banded", "zigzagged"]
    assert (len(tasks[0].train), len(tasks[0].test)) == ((2, 2) if listed else (3, 2))
    assert load_tasks(tmp_path / "dtd")[1].train[0].id == tasks[1].train[0].id
    if listed:
        assert "first of the ten published splits" in tasks[0].notes[0]
        (tmp_path / "dtd/images/banded/banded_0002.png").unlink()
        with pytest.raises(ImageSetError, match=r"1 images that test1.txt list are not there.*banded_0002"):
            load_tasks(name, root=tmp_path)


def places(draw, tmp_path, *, listed):
    for name in listed:
        draw(f"places/val_256/{name}")
    root = tmp_path / "places"
    (root / "categories_places365.txt").write_text("/a/airfield 0\n/a/arena/rodeo 1\n/b/barn 2\n")
    lines = "".join(f"Places365_val_0000000{i}.jpg {i % 3}\n" for i in range(1, 6))
    (root / "places365_val.txt").write_text(lines)
    return root


def test_places_as_pictures_of_none_of_the_known_classes(draw, tmp_path):
    root = places(draw, tmp_path, listed=[f"Places365_val_0000000{i}.jpg" for i in range(1, 5)])
    for kind in ("3", "5"):
        for part in ("train", "test"):
            draw(f"digits/{part}/{kind}/0.png")
    (task,) = load_tasks(tmp_path / "digits", against="places365", root=tmp_path)
    strange = [entry for entry in task.test if entry.verdict == "anomalous"]
    assert (len(task.train), len(task.test), len(strange)) == (2, 6, 4)
    assert task.test.read(5).pixels.shape == (20, 24, 3)
    (root / "places365_val.txt").write_text("a.jpg 7\n")
    with pytest.raises(ImageSetError, match=r"'a\.jpg 7' is no file name and number of a class"):
        load_tasks(tmp_path / "digits", against="places365", root=tmp_path)
    (root / "categories_places365.txt").write_text("/a/airfield 1\n")
    with pytest.raises(ImageSetError, match="is not a category with number 0"):
        load_tasks(tmp_path / "digits", against=root)


def test_places_in_its_easy_form(draw, tmp_path):
    for part in ("train", "val"):
        for kind in ("airfield", "barn"):
            draw(f"places365_standard/{part}/{kind}/00000001.jpg")
    tasks = load_tasks("places365", root=tmp_path)
    assert [task.normal_class for task in tasks] == ["airfield", "barn"]
