"""From what a dataset holds to tasks: who is normal, who is not, and how many are learnt from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from anomalens.datasets.selection import Selection
from anomalens.datasets.splitting import draw_shots
from anomalens.datasets.task import PROTOCOLS, Classes, Contents, Split, Task
from anomalens.errors import ImageSetError, SettingError, unknown_name
from anomalens.images.image_set import ImageSet
from anomalens.images.labels import ANOMALOUS, NORMAL, judged

Outsiders = tuple[str, ImageSet]
"""Name and images of another dataset whose images count as anomalies."""


def make_tasks(
    dataset: str,
    contents: Contents,
    selection: Selection,
    *,
    seed: int = 0,
    outsiders: Outsiders | None = None,
) -> list[Task]:
    """One task for each category, normal class or left-out class that the selection leaves.

    Parameters
    ----------
    dataset : str
        Its name in tasks.
    contents : Contents
    selection : Selection
    seed : int
        Draws the shots.
    outsiders : (name, ImageSet), optional
        What `selection.against` names.

    Raises
    ------
    SettingError
        For an unknown protocol, category or class, or options that contradict.
    ImageSetError
        When the data cannot serve the protocol.
    """
    protocol, category, shots = selection.protocol, selection.category, selection.shots
    normal_class = selection.normal_class
    if protocol is not None and protocol not in PROTOCOLS:
        raise unknown_name("protocol", protocol, PROTOCOLS)
    if protocol == "few-shot" and shots is None:
        raise SettingError("The protocol few-shot needs a number of images; give shots, such as 4.")
    if shots is not None and shots < 1:
        raise SettingError(f"The number of shots is {shots}; give 1 or more.")
    if outsiders is not None and protocol not in (None, "in-vs-out"):
        raise SettingError(
            f"Images of another dataset serve the protocol in-vs-out, not {protocol}; leave one out."
        )
    if outsiders is not None:
        protocol = "in-vs-out"
    if isinstance(contents, Classes):
        if category is not None:
            raise SettingError(
                f"{dataset} has classes, no categories; give normal_class={category!r} instead."
            )
        tasks = _of_classes(dataset, contents, protocol, normal_class, outsiders)
    else:
        if normal_class is not None:
            raise SettingError(
                f"{dataset} is labelled normal and anomalous, not by classes; leave normal_class out."
            )
        tasks = _of_splits(dataset, contents, protocol, category, outsiders)
    for task in tasks:
        _check(task)
    return tasks if shots is None else [_few(task, shots, protocol, seed) for task in tasks]


def _few(task: Task, shots: int, asked: str | None, seed: int) -> Task:
    # an explicitly asked one-vs-rest with shots keeps its name; plain shots are the few-shot protocol
    name = task.protocol if asked not in (None, "few-shot", "split") else "few-shot"
    return replace(task, protocol=name, shots=shots, train=draw_shots(task.train, shots, seed=seed))


def _of_splits(
    dataset: str,
    splits: Sequence[Split],
    protocol: str | None,
    category: str | None,
    outsiders: Outsiders | None,
) -> list[Task]:
    if protocol in ("one-vs-rest", "leave-one-class-out"):
        raise SettingError(
            f"{dataset} is labelled normal and anomalous, so the protocol {protocol}, which needs classes, "
            "does not apply; use split or few-shot."
        )
    if protocol == "in-vs-out" and outsiders is None:
        raise SettingError(
            f"The protocol in-vs-out needs the images of another dataset for {dataset}; give against=NAME."
        )
    names = [split.category for split in splits if split.category is not None]
    if category is not None and category not in names:
        if not names:
            raise SettingError(f"{dataset} has no categories; leave category={category!r} out.")
        raise unknown_name(f"category of {dataset}", category, names)
    return [
        Task(
            dataset, protocol or "split", split.category, None, None, split.train,
            split.test if outsiders is None else _with_outsiders(_normal_only(split.test), outsiders),
            split.notes, split.references if outsiders is None else None,
        )
        for split in splits
        if category in (None, split.category)
    ]  # fmt: skip


def _of_classes(
    dataset: str, data: Classes, protocol: str | None, chosen: str | None, outsiders: Outsiders | None
) -> list[Task]:
    if not len(data.train):
        raise ImageSetError(
            f"{dataset} holds test images only, nothing to learn from; use it as the other dataset (against) "
            "of the protocol in-vs-out."
        )
    if protocol in (None, "few-shot"):
        by_name = data.normal_class is not None and chosen in (None, data.normal_class)
        protocol = "split" if by_name else "one-vs-rest"
    return _CLASS_PROTOCOLS[protocol](dataset, data, chosen, outsiders)


def _one_vs_rest(dataset: str, data: Classes, chosen: str | None, _: Outsiders | None) -> list[Task]:
    learnable = {entry.class_name for entry in data.train}
    names = [name for name in data.class_names if name in learnable]
    if chosen is not None:
        if chosen not in names:
            raise unknown_name(f"class of {dataset} with training images", chosen, names)
        names = [chosen]
    return [_class_task(dataset, "one-vs-rest", data, {name}, name) for name in names]


def _split(dataset: str, data: Classes, chosen: str | None, _: Outsiders | None) -> list[Task]:
    name = chosen or data.normal_class
    if name is None:
        raise SettingError(
            f"None of the classes of {dataset} is normal by its name; give normal_class, such as "
            f"{data.class_names[0]!r}, or use the protocol one-vs-rest."
        )
    if name not in data.class_names:
        raise unknown_name(f"class of {dataset}", name, data.class_names)
    return [_class_task(dataset, "split", data, {name}, name)]


def _leave_one_out(dataset: str, data: Classes, chosen: str | None, _: Outsiders | None) -> list[Task]:
    names = list(data.class_names)
    if chosen is not None:
        wanted = chosen.removeprefix("not ")
        if wanted not in names:
            raise unknown_name(f"class of {dataset}", wanted, names)
        names = [wanted]
    return [
        _class_task(dataset, "leave-one-class-out", data, set(data.class_names) - {name}, f"not {name}")
        for name in names
    ]


def _in_vs_out(dataset: str, data: Classes, chosen: str | None, outsiders: Outsiders | None) -> list[Task]:
    names = [name.strip() for name in (chosen or "").split(",") if name.strip()]
    for name in names:
        if name not in data.class_names:
            raise unknown_name(f"class of {dataset}", name, data.class_names)
    if not names and outsiders is None:
        raise SettingError(
            f"The protocol in-vs-out needs to know what is in for {dataset}; give normal_class as a list "
            f"such as {','.join(data.class_names[:2])!r}, or another dataset as against."
        )
    normal = set(names or data.class_names)
    task = _class_task(dataset, "in-vs-out", data, normal, ",".join(names) or None)
    if outsiders is not None:
        task = replace(task, test=_with_outsiders(_normal_only(task.test), outsiders))
    return [task]


_CLASS_PROTOCOLS: Final[dict[str, Callable[[str, Classes, str | None, Outsiders | None], list[Task]]]] = {
    "split": _split,
    "one-vs-rest": _one_vs_rest,
    "leave-one-class-out": _leave_one_out,
    "in-vs-out": _in_vs_out,
}


def _class_task(dataset: str, protocol: str, data: Classes, normal: set[str], name: str | None) -> Task:
    train = replace(
        data.train,
        entries=tuple(replace(entry, verdict=NORMAL) for entry in data.train if entry.class_name in normal),
    )
    test = replace(
        data.test,
        entries=tuple(
            replace(entry, verdict=judged(entry.class_name not in normal)) for entry in data.test
        ),
    )  # fmt: skip
    return Task(dataset, protocol, None, name, None, train, test, data.notes)


def _normal_only(images: ImageSet) -> ImageSet:
    return replace(images, entries=tuple(entry for entry in images if entry.verdict == NORMAL))


def _with_outsiders(test: ImageSet, outsiders: Outsiders) -> ImageSet:
    name, images = outsiders
    outside = tuple(
        replace(entry, id=f"{name}/{entry.id}", class_name=name, verdict=ANOMALOUS, group=None, mask=None)
        for entry in images
    )
    return ImageSet.concatenate([test, replace(images, entries=outside)])


def _check(task: Task) -> None:
    if not len(task.train):
        raise ImageSetError(
            f"{task.name} has no normal training image; check the data, or choose another class."
        )
    if not len(task.test):
        raise ImageSetError(f"{task.name} has no test image; check the data.")
