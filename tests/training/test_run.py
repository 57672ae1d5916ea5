"""Data, split and export of a training."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra train")

from anomalens.errors import MissingExtraError, SettingError  # noqa: E402
from anomalens.progress import silent  # noqa: E402
from anomalens.training import images as images_file  # noqa: E402
from anomalens.training import require_torch  # noqa: E402
from anomalens.training.images import HeldImages  # noqa: E402
from anomalens.training.pixel_errors import ssim  # noqa: E402
from anomalens.training.run import repeatable  # noqa: E402
from anomalens.training.split import split_groups  # noqa: E402


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=40),
    validation=st.floats(0.01, 0.5),
    held_out=st.floats(0, 0.5),
    seed=st.integers(0, 5),
)
def test_a_split_keeps_groups_whole_and_loses_nothing(
    sizes: list[int], validation: float, held_out: float, seed: int
) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    split = split_groups(groups, validation=validation, held_out=held_out, seed=seed)
    parts = [split.train, split.validation, split.held_out]
    assert len(split.train) and len(split.validation)
    assert all((np.diff(part) > 0).all() for part in parts)
    if len(sizes) == 1:
        assert split.train.tolist() == split.validation.tolist() == list(range(len(groups)))
        return
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(groups)))
    owners = [set(groups[part].tolist()) for part in parts]
    assert not (owners[0] & owners[1] or owners[0] & owners[2] or owners[1] & owners[2])
    assert bool(len(split.held_out)) == (held_out > 0 and len(sizes) >= 3)


def test_the_shares_are_about_what_was_asked() -> None:
    split = split_groups(np.arange(1000), validation=0.15, held_out=0.2, seed=0)
    assert abs(len(split.validation) - 150) <= 1 and abs(len(split.held_out) - 200) <= 1
    large = split_groups(np.arange(50_000), validation=0.15, held_out=0.2, seed=0)
    assert len(large.validation) == len(large.held_out) == 2000


def test_changed_copies_neither_count_nor_validate_nor_calibrate() -> None:
    originals = np.arange(1000) * 5  # each followed by four copies
    split = split_groups(
        np.repeat(np.arange(1000), 5), validation=0.15, held_out=0.2, seed=0, originals=originals
    )
    assert (split.held_out % 5 == 0).all() and abs(len(split.held_out) - 200) <= 1
    assert (split.validation % 5 == 0).all() and abs(len(split.validation) - 150) <= 1
    assert abs(len(split.train) - 5 * 650) <= 10


class Some:
    """Images of two types, as from a mixed folder."""

    size = (4, 6)
    groups = np.arange(5)

    def __len__(self) -> int:
        return 5

    def __iter__(self):  # type: ignore[no-untyped-def]
        for value in range(5):
            kind = np.float32 if value > 2 else np.uint8
            yield np.full((4, 6, 3), value * 50, kind)


@pytest.mark.parametrize("in_memory", [10**9, 10])
def test_images_are_held_in_memory_or_in_a_file(in_memory: int) -> None:
    held = HeldImages.collect(Some(), silent, in_memory=in_memory)
    assert isinstance(held.pixels, np.memmap) == (in_memory == 10)
    assert held.pixels.dtype == np.float32 and held.pixels[:, 0, 0, 0].tolist() == [0, 50, 100, 150, 200]
    batches = list(held.batches(np.array([0, 2, 4]), 2))
    assert [tuple(batch.shape) for batch in batches] == [(2, 3, 4, 6), (1, 3, 4, 6)]
    assert batches[0][1].max().item() == pytest.approx(100 / 255)
    assert len(list(held.batches(np.array([0, 2, 4]), 2, order=np.random.default_rng(0)))) == 1


def test_one_image_alone_is_shown_twice_and_a_full_disk_is_a_sentence() -> None:
    held = HeldImages.collect(Some(), silent)
    (alone,) = held.batches(np.array([3]), 4, order=np.random.default_rng(0))
    assert len(alone) == 2 and torch.equal(alone[0], alone[1])
    assert [len(batch) for batch in held.batches(np.array([3]), 4)] == [1]
    with pytest.raises(SettingError, match="TMPDIR"):
        images_file.room((10**6, 10**6, 10**6), np.dtype(np.uint8))


def test_a_run_is_another_where_groups_split_the_images_otherwise() -> None:
    splits = [
        split_groups(groups, validation=0.2, held_out=0.2, seed=0)
        for groups in (Some.groups, [0, 0, 1, 2, 3])
    ]
    assert splits[0].hash() == split_groups(Some.groups, validation=0.2, held_out=0.2, seed=0).hash()
    assert splits[0].hash() != splits[1].hash()


def test_torch_is_left_as_it_was() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    with repeatable(0):
        torch.rand(10)
    assert torch.equal(torch.rand(3), wanted)
    assert not torch.are_deterministic_algorithms_enabled()


def test_ssim_is_that_of_scikit_image() -> None:
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    rng = np.random.default_rng(0)
    a = rng.random((24, 24))
    b = np.clip(a + rng.normal(0, 0.1, a.shape), 0, 1)
    _, wanted = structural_similarity(
        a, b, win_size=11, data_range=1.0, full=True, use_sample_covariance=False
    )
    ours = ssim(torch.tensor(a)[None, None], torch.tensor(b)[None, None])[0, 0].numpy()
    assert np.abs(ours - wanted)[6:-6, 6:-6].max() < 1e-8


def test_a_machine_without_torch_is_told_what_to_install() -> None:
    with pytest.raises(MissingExtraError, match=r"anomalens\[train\]"):
        require_torch("The detector 'cae'", search=[])
