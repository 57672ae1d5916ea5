"""Every adapter that has a real subset, on it: by path and by name, and what the figures rest on."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from anomalens.datasets import check_hygiene, load_tasks, read_mask
from anomalens.errors import ImageSetError
from anomalens.images import ImageSet

FASHION = Path("/usr/share/datasets/fashion-mnist")


def labels(images: ImageSet) -> dict[str | None, int]:
    return dict(Counter(entry.label for entry in images))


@pytest.mark.parametrize(
    ("folder", "name", "train", "test", "masks"),
    [
        ("mvtec_transistor", "mvtec-ad", 213,
         {"good": 60, "bent_lead": 10, "cut_lead": 10, "damaged_case": 10, "misplaced": 10}, 40),
        ("mvtec_leather_fewshot", "mvtec-ad", 4,
         {"good": 4, "color": 4, "cut": 4, "fold": 4, "glue": 4, "poke": 4}, 11),
        ("mvtec_loco_juice_bottle", "mvtec-loco", 335, {"good": 54, "logical_anomalies": 142}, 142),
        ("magnetic_tile", "magnetic-tile", 403,
         {"good": 150, "blowhole": 115, "break": 85, "crack": 57, "fray": 32, "uneven": 97}, 386),
        ("brick_cracks", None, 230, {"good": 118, "crack": 200}, 0),
        ("brain_mri", "brain-mri", 60, {"good": 23, "tumor": 140}, 0),
    ],
)  # fmt: skip
def test_a_published_split_is_read_as_it_is(real_set, folder, name, train, test, masks):
    root = real_set(folder)
    (task,) = load_tasks(root)
    assert (task.dataset, task.protocol, task.shots) == (folder, "split", None)
    assert labels(task.train) == {"good": train}
    assert labels(task.test) == test
    assert sum(entry.mask is not None for entry in task.test) == masks
    assert not {entry.id for entry in task.train} & {entry.id for entry in task.test}
    if name is not None:
        (named,) = load_tasks(name, root=root)
        assert (named.dataset, len(named.train), labels(named.test)) == (name, train, test)
        assert named.train.data_sha256() == task.train.data_sha256()


def test_masks_of_a_real_set_have_their_images_size_and_mark_something(real_set):
    (task,) = load_tasks(real_set("mvtec_transistor"))
    for index, entry in enumerate(task.test):
        mask = read_mask(entry, task.test.read(index).size)
        assert (mask is None) == (entry.label == "good")
        assert mask is None or (mask.dtype == bool and 0 < mask.mean() < 1)


def test_categories_are_named_and_can_be_chosen_wherever_they_lie(real_set):
    root = real_set("mvtec_transistor").parent
    tasks = load_tasks("mvtec", root=root)
    assert [task.name for task in tasks] == ["mvtec-ad/leather", "mvtec-ad/transistor"]
    (one,) = load_tasks("mvtec-ad", root=root, category="transistor")
    assert (one.category, len(one.train)) == ("transistor", 213)
    (loco,) = load_tasks("mvtec-loco", root=root)
    assert loco.category == "juice_bottle"


def test_several_categories_side_by_side_are_several_tasks(real_set):
    tasks = load_tasks(real_set("paper_piped"))
    assert [task.category for task in tasks] == [
        "bdp01_tl", "brg01_rl", "brg03_tl", "flr01_tl", "fvn01_tl", "gla01_tl",
    ]  # fmt: skip
    assert all((len(task.train), len(task.test)) == (32, 64) for task in tasks)


def test_exposures_of_one_magnetic_tile_are_one_group(real_set):
    (task,) = load_tasks("magnetic-tile", root=real_set("magnetic_tile"))
    groups = Counter(entry.group for entry in task.train)
    assert None not in groups and 80 < len(groups) < 100
    assert np.median(list(groups.values())) == 6  # as many as there are exposures


def test_template_pairs_carry_their_references(real_set):
    tasks = load_tasks("deeppcb", root=real_set("deeppcb"))
    assert len(tasks) == 7
    task = tasks[0]
    assert task.references is not None and len(task.references) == len(task.test) == 66
    assert labels(task.train) == {"good": 32}
    for index, entry in enumerate(task.test):
        assert task.references[index].group == entry.group
        mask = read_mask(entry, task.test.read(index).size)
        assert (mask is None) == (entry.label == "good")
        # the boards differ from their templates inside the boxes much more than outside
        if mask is not None and index < 6:
            off = task.test.read(index).pixels[..., 0] != task.references.read(index).pixels[..., 0]
            assert off[mask].mean() > 5 * off[~mask].mean()
    assert load_tasks(real_set("deeppcb"), seed=1)[0].train[0].id != task.train[0].id
    assert [e.id for e in load_tasks(real_set("deeppcb"))[0].train] == [e.id for e in task.train]


def test_arrays_with_a_normal_class_are_a_split(real_set):
    (task,) = load_tasks("malaria", root=real_set("malaria_cells"))
    assert (task.protocol, task.normal_class) == ("split", "uninfected")
    assert labels(task.train) == {"good": 2500}
    assert labels(task.test) == {"good": 600, "parasitized": 600}
    assert task.test.read(0).pixels.shape == (50, 50, 3)


@pytest.mark.parametrize(
    ("folder", "name", "classes", "size"),
    [("cifar10", "cifar-10", 10, 32), ("mnist", "mnist", 10, 28), ("fer2013", "fer2013", 7, 48)],
)
def test_one_vs_rest_takes_each_class_as_normal_in_turn(real_set, folder, name, classes, size):
    tasks = load_tasks(name, root=real_set(folder))
    assert len(tasks) == classes and {task.protocol for task in tasks} == {"one-vs-rest"}
    with np.load(next(real_set(folder).glob("*.npz"))) as arrays:
        for number, task in enumerate(tasks):
            assert task.normal_class == str(arrays["class_names"][number])
            assert len(task.train) == (arrays["y_train"] == number).sum()
            truth = np.where(arrays["y_test"] == number, "good", arrays["class_names"][arrays["y_test"]])
            assert [entry.label for entry in task.test] == truth.tolist()
        read = tasks[0].test.read(7).pixels
        assert read.shape == (size, size, 3)
        expected = arrays["x_test"][7]
        assert (read == (expected if expected.ndim == 3 else expected[..., None])).all()
    (one,) = load_tasks(name, root=real_set(folder), normal_class=tasks[3].normal_class)
    assert one.train.data_sha256() == tasks[3].train.data_sha256()


def test_leaving_one_class_out_makes_it_the_anomaly(real_set):
    tasks = load_tasks(real_set("cifar10"), protocol="leave-one-class-out")
    assert [task.normal_class for task in tasks][:2] == ["not airplane", "not automobile"]
    assert len(tasks[0].train) == 4500
    assert labels(tasks[0].test) == {"good": 1800, "airplane": 200}
    for name in ("airplane", "not airplane"):
        (one,) = load_tasks(real_set("cifar10"), protocol="leave-one-class-out", normal_class=name)
        assert one.normal_class == "not airplane"


def test_another_dataset_is_out_of_distribution(real_set):
    (task,) = load_tasks("cifar-10", root=real_set("cifar10"), against=real_set("dtd_textures_ood"))
    assert (task.protocol, len(task.train)) == ("in-vs-out", 5000)
    assert labels(task.test) == {"good": 2000, "dtd_textures_ood": 300}
    assert len({entry.id for entry in task.test}) == 2300


def test_chosen_classes_are_in_and_the_others_out(real_set):
    (task,) = load_tasks(real_set("mnist"), protocol="in-vs-out", normal_class="0, 1")
    assert task.normal_class == "0,1"
    assert set(labels(task.test)) == {"good", *"23456789"}


def test_test_arrays_alone_serve_only_as_anomalies(real_set):
    with pytest.raises(ImageSetError, match="test images only"):
        load_tasks(real_set("tiny_imagenet_ood"))


def test_class_folders_in_a_tar_are_read_in_place(real_set):
    tasks = load_tasks(real_set("grocery_store") / "grocery_store.tar")
    assert len(tasks) == 69 and tasks[0].dataset == "grocery_store"
    assert tasks[0].normal_class == "Fruit__Apple__Golden-Delicious"
    assert min(tasks[0].test.read(0).size) == 128
    assert len(tasks[0].test.sha256(0)) == 64
    assert len(load_tasks(real_set("grocery_store"))) == 69


def test_clips_of_frames_keep_their_order_and_labels(real_set):
    (task,) = load_tasks("ped2", root=real_set("ucsd_ped2"))
    assert labels(task.train) == {"good": 630}
    assert len(task.test) == 540
    assert {entry.group for entry in task.train} == {"train_01", "train_05", "train_07", "train_11"}
    truth = (real_set("ucsd_ped2") / "test_01_labels.txt").read_text().split()
    assert [entry.label for entry in task.test][: len(truth)] == [
        "defect" if line == "1" else "good" for line in truth
    ]
    assert task.test[0].id == "test_01/000.jpg" and task.test.read(0).size == (360, 240)


def test_few_shots_are_seeded_draws_of_the_training_images(real_set):
    root = real_set("mvtec_transistor")
    (first,), (again,), (other,) = (load_tasks(root, shots=4, seed=seed) for seed in (0, 0, 1))
    assert (first.protocol, first.shots, len(first.train), len(first.test)) == ("few-shot", 4, 4, 100)
    ids = [[entry.id for entry in task.train] for task in (first, again, other)]
    assert ids[0] == ids[1] != ids[2]
    digits = load_tasks(real_set("mnist"), protocol="few-shot", shots=8, normal_class="3")
    assert [(task.protocol, task.normal_class, len(task.train)) for task in digits] == [("few-shot", "3", 8)]
    named = load_tasks(real_set("mnist"), protocol="one-vs-rest", shots=8, normal_class="3")[0]
    assert (named.protocol, named.shots, len(named.train)) == ("one-vs-rest", 8, 8)
    with pytest.raises(ImageSetError, match=r"214 training images .* has 213"):
        load_tasks(root, shots=214)


def test_the_whole_of_fashion_mnist_loads_in_about_a_second():
    if not FASHION.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    start = time.perf_counter()
    tasks = load_tasks("fashion-mnist")
    assert time.perf_counter() - start < 8  # about one on an idle core
    assert len(tasks) == 10
    assert all((len(task.train), len(task.test)) == (6000, 10000) for task in tasks)
    assert sum(entry.label == "good" for entry in tasks[0].test) == 1000
    assert tasks[0].test.read(0).pixels.shape == (28, 28, 3)
    # entries of anomalies and all pixels are shared between the tasks
    assert tasks[0].test[0] is tasks[1].test[0]
    assert np.shares_memory(tasks[0].test[1].source.array.base, tasks[9].test[2].source.array.base)
    assert tasks[9].normal_class == "ankle boot"


def test_hygiene_finds_what_real_splits_share(real_set):
    paper = check_hygiene(load_tasks(real_set("paper_piped"))[0])
    assert paper.exact == 1 and "test/good/007.jpg" in paper.warnings[0]
    assert len(paper.warnings) == 1  # one copy is no capture session

    tiles = check_hygiene(load_tasks(real_set("magnetic_tile"))[0], limit=600)
    assert tiles.grouped > 0 and tiles.shared_groups[0].startswith("tile-")
    assert any("capture session" in sentence for sentence in tiles.warnings)

    clean = check_hygiene(load_tasks(real_set("mvtec_transistor"))[0])
    # one pair with the same bends in its legs, on another place of the board, may be one part or two
    assert clean.exact == 0 and clean.near <= 1 and clean.compared == 313

    digits = check_hygiene(load_tasks(real_set("mnist"))[0])
    assert digits.compared == 0 and digits.near_rate is None
