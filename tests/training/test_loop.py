"""The training loop: repeatable, resumable, stopped by images it does not learn from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from anomalens.errors import AnomalensWarning, SettingError  # noqa: E402
from anomalens.images.augment import Augmentation  # noqa: E402
from anomalens.training.checkpoint import Checkpoint, State  # noqa: E402
from anomalens.training.images import HeldImages  # noqa: E402
from anomalens.training.learner import Learner, Player, alone, device_of  # noqa: E402
from anomalens.training.loop import train  # noqa: E402
from anomalens.training.plan import History, Plan  # noqa: E402

ROWS = np.arange(24)


class Stop(Exception):
    """Someone pulls the plug."""


def images() -> HeldImages:
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 8, dtype=np.uint8)[None, :, None, None]
    return HeldImages(np.clip(ramp + rng.integers(0, 30, (30, 8, 8, 3)), 0, 255).astype(np.uint8))


def network(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1),
        torch.nn.BatchNorm2d(4),
        torch.nn.Dropout(0.1),
        torch.nn.Conv2d(4, 3, 3, padding=1),
    )


def by_reconstruction(module: Any) -> Learner:
    return alone(module, lambda batch: ((module(batch) - batch) ** 2).mean((1, 2, 3)))


def run(module: Any, plan: Plan, **options: Any) -> History:
    return train(
        by_reconstruction(module),
        images(),
        train_rows=ROWS,
        validation_rows=np.arange(24, 30),
        plan=plan,
        **options,
    )


def weights(module: Any) -> list[np.ndarray]:
    return [value.numpy().copy() for value in module.state_dict().values()]


PLAN = Plan(
    epochs=6, batch_size=8, learning_rate=0.01, augmentation=Augmentation(flip="both", brightness=0.1)
)


def test_the_loss_falls_and_the_same_seed_gives_the_same_weights() -> None:
    first, again, other = network(), network(), network()
    history = run(first, PLAN, seed=3)
    run(again, PLAN, seed=3)
    run(other, PLAN, seed=4)
    assert history.curves["training loss"][-1] < 0.7 * history.curves["training loss"][0]
    assert len(history.curves["validation loss"]) == history.epochs == 6
    assert all(np.array_equal(a, b) for a, b in zip(weights(first), weights(again), strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(weights(first), weights(other), strict=True))
    assert not first.training


@pytest.mark.parametrize("optimiser", ["adam", "adadelta", "sgd"])
def test_a_killed_run_ends_as_one_that_was_not(optimiser: str, tmp_path: Path) -> None:
    plan = Plan(epochs=6, batch_size=8, learning_rate=0.01, optimiser=optimiser)
    whole = network()
    wanted = run(whole, plan)
    kept = Checkpoint.of(tmp_path, "a run")
    assert kept is not None

    def until_killed(items: Iterable[Any], *, label: str, total: int) -> Iterator[Any]:
        for index, item in enumerate(items):
            if index == 3:
                raise Stop
            yield item

    with pytest.raises(Stop):
        run(network(), plan, checkpoint=Checkpoint(kept.path, every=0), progress=until_killed)
    seen = []

    def count(items: Iterable[Any], *, label: str, total: int) -> Iterator[Any]:
        for item in items:
            seen.append(item.number)
            yield item

    resumed = network(seed=9)  # what it starts from no longer matters
    history = run(resumed, plan, checkpoint=Checkpoint.of(tmp_path, "a run"), progress=count)
    assert seen == [3, 4, 5]
    assert history == wanted
    assert all(np.array_equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))
    seen.clear()
    assert run(network(), plan, checkpoint=Checkpoint.of(tmp_path, "a run"), progress=count) == wanted
    assert seen == []
    run(network(), plan, checkpoint=Checkpoint.of(tmp_path, "another run"), progress=count)
    assert seen == [0, 1, 2, 3, 4, 5]
    assert not list(tmp_path.glob("*.part"))


def test_a_damaged_checkpoint_is_a_warning_and_a_new_run(tmp_path: Path) -> None:
    kept = Checkpoint.of(tmp_path, "a run")
    assert kept is not None
    kept.path.write_bytes(b"no safetensors")
    with pytest.warns(AnomalensWarning, match="training begins anew"):
        history = run(network(), PLAN, checkpoint=kept)
    assert history.epochs == 6
    # weights that fit and optimisers that do not: nothing of them stays
    kept.finish(network(seed=9), [torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=1.0)], State({}))
    anew, fresh = network(), network()
    with pytest.warns(AnomalensWarning, match="training begins anew"):
        run(anew, PLAN, checkpoint=kept)
    run(fresh, PLAN)
    assert all(np.array_equal(a, b) for a, b in zip(weights(anew), weights(fresh), strict=True))
    assert Checkpoint.of(None, "a run") is None


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.warns(AnomalensWarning, match="training goes on"):
        history = run(network(), PLAN, checkpoint=Checkpoint(tmp_path / "file" / "run.safetensors"))
    assert history.epochs == 6


@pytest.mark.parametrize("name", ["cuda:99", "gpu"])
def test_a_device_that_is_not_there_is_a_sentence(name: str) -> None:
    with pytest.raises(SettingError, match=f"no device '{name}'"):
        device_of(name)


def test_training_stops_after_its_patience_and_keeps_the_best_weights() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(4.0)

    def loss(batch: Any) -> Any:  # falls without end while training …
        return module.weight.sum().expand(len(batch))

    def validation(batch: Any) -> Any:  # … and is lowest at 3.5 when validating
        return ((module.weight - 3.5) ** 2).sum().expand(len(batch))

    learner = Learner(module, [Player("loss", [module.weight], lambda b: loss(b).mean())], validation)
    plan = Plan(
        epochs=50, batch_size=24, learning_rate=0.25, optimiser="sgd", schedule="constant", patience=3, clip=0
    )
    history = train(learner, images(), train_rows=ROWS, validation_rows=ROWS, plan=plan)
    assert history.epochs == history.best_epoch + 3
    assert history.curves["validation loss"][history.best_epoch - 1] == min(history.curves["validation loss"])
    assert abs(module.weight.item() - 3.5) < 0.3


def test_each_player_moves_only_its_own_weights() -> None:
    mine, theirs = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
    module = torch.nn.ParameterList([mine, theirs])
    learner = Learner(
        module,
        [
            Player("first", [mine], lambda batch: (mine * theirs).sum()),
            Player("second", [theirs], lambda batch: -(mine * theirs).sum(), every=2),
        ],
        lambda batch: mine.detach().expand(len(batch)),
    )
    plan = Plan(epochs=1, batch_size=8, learning_rate=0.1, optimiser="sgd", schedule="constant", patience=0)
    history = train(learner, images(), train_rows=ROWS, validation_rows=ROWS, plan=plan)
    assert mine.item() < 1 < theirs.item()
    assert set(history.curves) == {"training first", "training second", "validation loss"}


def test_a_player_of_every_third_batch_plays_so_across_short_epochs() -> None:
    mine, theirs = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    steps = {"first": 0, "second": 0}

    def counted(name: str, weight: Any) -> Any:
        def loss(batch: Any) -> Any:
            steps[name] += 1
            return weight.sum()

        return loss

    learner = Learner(
        torch.nn.ParameterList([mine, theirs]),
        [
            Player("first", [mine], counted("first", mine)),
            Player("second", [theirs], counted("second", theirs), 3),
        ],
        lambda batch: mine.detach().expand(len(batch)),
    )
    plan = Plan(epochs=9, batch_size=24, patience=0)  # one batch an epoch
    history = train(learner, images(), train_rows=ROWS, validation_rows=ROWS, plan=plan)
    assert steps == {"first": 9, "second": 3}
    assert len(history.curves["training second"]) == 9


def test_a_loss_that_is_no_number_ends_with_a_sentence() -> None:
    module = network()
    learner = alone(module, lambda batch: module(batch).sum((1, 2, 3)) * float("nan"))
    with pytest.raises(SettingError, match=r"no finite number in epoch 1; lower learning_rate"):
        train(learner, images(), train_rows=ROWS, validation_rows=ROWS, plan=PLAN)
    losses = iter([1.0, 0.5, float("nan")])
    module = network()  # the former has no numbers left
    later = Learner(
        module,
        [Player("loss", list(module.parameters()), lambda batch: module(batch).sum())],
        lambda batch: torch.full((len(batch),), next(losses)),
    )
    history = train(later, images(), train_rows=ROWS, validation_rows=np.arange(2), plan=PLAN)
    assert history.best_epoch == 2
    assert "validation loss is no finite number in epoch 3" in history.diverged


def test_a_loss_that_ceases_to_be_a_number_keeps_what_was_learnt_before() -> None:
    module = network()
    seen = []

    def loss(batch: Any) -> Any:
        seen.append(len(batch))
        broken = float("nan") if len(seen) > 10 else 1.0
        return ((module(batch) - batch) ** 2).mean((1, 2, 3)) * broken

    history = train(
        alone(module, loss),
        images(),
        train_rows=ROWS,
        validation_rows=ROWS[:8],
        plan=Plan(epochs=9, batch_size=8),
    )
    assert history.best_epoch == 2 and "no finite number in epoch 3" in history.diverged
    assert all(np.isfinite(value).all() for value in weights(module))
