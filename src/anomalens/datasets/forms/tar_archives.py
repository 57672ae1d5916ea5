"""Images in uncompressed tars, read in place: class folders, and folders of clips.

Members are listed once, with limits on their number and sizes; links, devices and names that lead out
of the archive are refused. Nothing is unpacked. A compressed tar has no places to jump to, so it is
refused with the command that unpacks it.
"""

from __future__ import annotations

import re
import tarfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from anomalens.datasets.forms.folders import unsplit_classes
from anomalens.datasets.labelled_arrays import normal_by_name
from anomalens.datasets.limits import MAX_MEMBER_BYTES, MAX_MEMBERS, read_text, reading
from anomalens.datasets.task import Classes, Form, Split
from anomalens.errors import ImageSetError
from anomalens.images.decode import SUFFIXES
from anomalens.images.files import natural_key
from anomalens.images.image_entry import ImageEntry
from anomalens.images.image_set import ImageSet
from anomalens.images.labels import NORMAL, judged
from anomalens.images.source import PackedSource

_CLIP: Final = re.compile(r"(train|test)_(\w+)\.tar", re.IGNORECASE)
_COMPRESSED: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")


def list_images(file: Path) -> list[tuple[PurePosixPath, PackedSource]]:
    """The image files of a tar, in natural order of their names.

    Raises
    ------
    ImageSetError
        For a compressed or damaged archive, a link, a name that leads out, or too many or too large
        members.
    """
    found: list[tuple[PurePosixPath, PackedSource]] = []
    count = -1
    with reading(file, tarfile.TarError):
        with file.open("rb") as stream:
            if stream.read(6).startswith(_COMPRESSED):
                raise ImageSetError(
                    f"{file} is a compressed tar, which cannot be read in place; unpack it with "
                    f"tar xf {file.name} and give the folder."
                )
        size, end = file.stat().st_size, 0
        with tarfile.open(file, "r:") as archive:
            for count, member in enumerate(archive):
                if count >= MAX_MEMBERS:
                    raise ImageSetError(f"{file} holds more than {MAX_MEMBERS} files; split it.")
                end = member.offset_data + (-(-member.size // 512) * 512 if member.isreg() else 0)
                name = _safe_name(file, member)
                if name is None or name.suffix.lower() not in SUFFIXES or name.name.startswith("."):
                    continue
                if member.size > MAX_MEMBER_BYTES or member.offset_data + member.size > size:
                    raise ImageSetError(
                        f"{file}: {member.name[:80]} is truncated or larger than "
                        f"{MAX_MEMBER_BYTES // 1024**2} MiB; fetch the archive again."
                    )
                found.append((name, PackedSource(file, member.offset_data, member.size, name.suffix.lower())))
        with file.open("rb") as stream:
            stream.seek(end)
            # tarfile takes a damaged header for the end, which would silently drop what follows
            if stream.read(512) != bytes(512):
                raise ImageSetError(
                    f"{file} is damaged or truncated behind its file {count + 1}; fetch it again."
                )
    if not found:
        raise ImageSetError(f"{file} holds no image; check that it is the right archive.")
    return sorted(found, key=lambda item: natural_key(Path(item[0])))


def _safe_name(file: Path, member: tarfile.TarInfo) -> PurePosixPath | None:
    """The member's name below the archive's root; None for a folder."""
    name = PurePosixPath(member.name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or (name.parts and name.parts[0].endswith(":")):
        raise ImageSetError(
            f"{file}: the name {member.name[:80]!r} leads out of the archive; do not use this archive."
        )
    if member.isdir():
        return None
    if not member.isreg() or member.issparse():
        raise ImageSetError(
            f"{file}: {member.name[:80]!r} is a link, device or sparse file, not an image; pack the images "
            "themselves."
        )
    return name


def read_class_tar(file: Path, seed: int) -> Classes | tuple[Split, ...]:
    """train/<class>/* and test/<class>/*, or <class>/*, below any common folder."""
    images = list_images(file)
    # "dataset/train/cat/1.jpg": what all names share is not part of the layout
    while len({name.parts[0] for name, _ in images}) == 1 and min(len(n.parts) for n, _ in images) > 2:
        images = [(PurePosixPath(*name.parts[1:]), packed) for name, packed in images]
    parts: dict[str, list[ImageEntry]] = {"train": [], "test": [], "": []}
    for name, packed in images:
        first = name.parts[0].lower()
        part = first if first in ("train", "test") else ""
        if len(name.parts) < (3 if part else 2):
            raise ImageSetError(
                f"{file}: {name} lies in no class folder; train/<class>/<file>, test/<class>/<file> or "
                "<class>/<file> is needed."
            )
        label = "/".join(name.parts[1 if part else 0 : -1])
        parts[part].append(ImageEntry(name.as_posix(), packed, class_name=label))
    if parts[""]:
        everything = [entry for entries in parts.values() for entry in entries]
        return unsplit_classes(ImageSet(tuple(everything), str(file)), seed=seed)
    names = tuple(sorted({entry.class_name or "" for entries in parts.values() for entry in entries}))
    train, test = (ImageSet(tuple(parts[part]), str(file)) for part in ("train", "test"))
    return Classes(names, train, test, normal_by_name(names))


def read_clips(root: Path, seed: int) -> tuple[Split, ...]:
    """train_NN.tar and test_NN.tar of frames, with one 0 or 1 a line in test_NN_labels.txt."""
    sets: dict[str, list[ImageEntry]] = {"train": [], "test": []}
    for file in sorted(root.iterdir()):
        found = _CLIP.fullmatch(file.name)
        if found is None:
            continue
        clip, part = file.name[: -len(".tar")], found[1].lower()
        frames = [
            ImageEntry(f"{clip}/{name.as_posix()}", packed, verdict=NORMAL, group=clip)
            for name, packed in list_images(file)
        ]
        if part == "test":
            labels = _frame_labels(root / f"{clip}_labels.txt", len(frames))
            frames = [replace(frame, verdict=judged(odd)) for frame, odd in zip(frames, labels, strict=True)]
        sets[part] += frames
    train, test = (ImageSet(tuple(entries), str(root)) for entries in sets.values())
    return (Split(None, train, test, ("frames of one clip are one group.",)),)


def _frame_labels(file: Path, frames: int) -> list[bool]:
    lines = read_text(file).split()
    if not set(lines) <= {"0", "1"}:
        raise ImageSetError(f"{file} must hold 0 (normal) or 1 (abnormal) on each line; correct it.")
    if len(lines) != frames:
        raise ImageSetError(
            f"{file} has {len(lines)} labels for {frames} frames; give one line for each frame."
        )
    return [line == "1" for line in lines]


def only_tar(root: Path) -> Path | None:
    """The file itself, or the one `.tar` in a folder."""
    if root.is_dir():
        found = sorted(root.glob("*.tar"))
        return found[0] if len(found) == 1 and not _CLIP.fullmatch(found[0].name) else None
    named = root.name.lower().endswith((".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst"))
    return root if named and root.is_file() else None


def _holds_clips(root: Path) -> bool:
    if not root.is_dir():
        return False
    parts = {found[1].lower() for path in root.glob("*.tar") if (found := _CLIP.fullmatch(path.name))}
    return parts == {"train", "test"}


CLASS_TAR = Form(
    "tar of train/<class>/*, test/<class>/*",
    lambda root: only_tar(root) is not None,
    lambda root, seed: read_class_tar(only_tar(root) or root, seed),
)
CLIP_TARS = Form("train_NN.tar, test_NN.tar, test_NN_labels.txt", _holds_clips, read_clips)
