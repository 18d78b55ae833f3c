"""Files whose end is decided: whether they are still what they were, and where an earlier try has put them."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Final

from feefifod.archive import find_noted, forget_draft, is_reserved, make_portable
from feefifod.catalog import Move
from feefifod.discover import is_part, open_drop, stamp_of
from feefifod.model import FileStamp, FileState, Series
from feefifod.parse.names import Kind, judge, strip_stamp

_COARSEST_NS: Final = 10_000_000
_LONGEST_ROUNDING_NS: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Ended:
    """A file whose end is decided and recorded; `loaded_now` unless an earlier process has done that.

    Attributes:
        zip_sha256: of the zip that it is a scratch copy from; None for what a person dropped.
        new_name: what it is to be called where it goes, unless that is taken; "" for its own name.
        series: None for what is no OHLCVT file.
        begun: when its batch began, on the monotonic clock; None where another process began it.
    """

    id: int
    path: str
    name: str
    stamp: FileStamp
    ending: FileState
    reason: str
    rows_accepted: int = 0
    rows_rejected: int = 0
    rows_odd: int = 0
    loaded_now: bool = True
    zip_sha256: bytes | None = None
    new_name: str = ""
    series: Series | None = None
    begun: float | None = None

    @property
    def target(self) -> str:
        """What it is to be called where it goes."""
        return self.new_name or PurePath(self.path).name

    @property
    def is_split(self) -> bool:
        """Whether it is a split zip, recorded with its first part; one with a refused name is a file for itself."""
        return is_part(self.path) and judge(PurePath(PurePath(self.path).name)).kind is Kind.ZIP


def describe_stuck(items: Sequence[Ended]) -> str:
    """Say what is in the table of files that cannot be moved, and where they are."""
    loaded = [item for item in items if item.ending is FileState.DONE]
    rows = sum(item.rows_accepted for item in loaded)
    word = "row is" if rows == 1 else "rows are"
    inside = f"{rows:,} {word} in the table; " if loaded else ""
    if len(items) == 1:
        folder = Path(items[0].path).parent.name
        return f"{inside}{items[0].name} waits in {folder}/ to be moved"
    return f"{inside}{len(items)} files, such as {items[0].name}, wait to be moved"


def find_moved(item: Ended, folder: Path, name: str) -> Move:
    """Say where a file is that is not (as it was) in the data folder: an earlier try may have moved it.

    Raises:
        OSError: the folders cannot be looked at.
    """
    names = {strip_stamp(spelling).casefold() for spelling in (name, make_portable(name))}
    replaced = os.path.lexists(item.path)
    if folder.is_dir():
        if not replaced:
            noted = find_noted(item.path, folder)
            forget_draft(item.path, folder)
            if noted is not None and noted.lstat().st_size == item.stamp.size:
                return Move(item.id, os.fsencode(noted))
        with os.scandir(folder) as entries:
            for entry in entries:
                if strip_stamp(entry.name).casefold() in names:
                    if not replaced and is_reserved(entry.path, item.path):
                        Path(entry.path).unlink()  # Its owner has taken the file away before it came here.
                        continue
                    status = entry.stat(follow_symlinks=False)
                    renamed = (status.st_dev, status.st_ino) == (item.stamp.device, item.stamp.inode)
                    if renamed or (not replaced and _is_alike(status, item.stamp)):
                        return Move(item.id, os.fsencode(entry.path))
    if replaced:
        return Move(item.id, None, "replaced in the data folder before it was moved")
    return Move(item.id, None, "it was gone before it could be moved")


def _is_alike(status: os.stat_result, stamp: FileStamp) -> bool:
    """Tell whether a file has size and time of a copy: to the nanosecond, or as FAT and exFAT round it."""
    apart = abs(status.st_mtime_ns - stamp.mtime_ns)
    rounded = status.st_mtime_ns % _COARSEST_NS == 0 and apart < _LONGEST_ROUNDING_NS
    return status.st_size == stamp.size and (apart == 0 or rounded)


def check_same(item: Ended) -> None:
    """Make sure that a file is the one whose end was decided.

    Raises:
        FileNotFoundError: it is gone, or another one.
    """
    if item.is_split:
        # The recorded stamp is that of all parts together, and some may have moved in an earlier try.
        status = os.lstat(item.path)
        if (status.st_dev, status.st_ino) != (item.stamp.device, item.stamp.inode):
            raise FileNotFoundError(errno.ENOENT, "it was replaced", item.path)
        return
    try:
        fd = open_drop(item.path)
    except PermissionError:
        return  # A refused name may be unreadable; the move needs no right to read.
    try:
        stamp = stamp_of(os.fstat(fd))
    finally:
        os.close(fd)
    # Devices and inodes have other numbers after a mount anew, on file systems that make them up.
    if stamp != replace(item.stamp, device=stamp.device, inode=stamp.inode):
        raise FileNotFoundError(errno.ENOENT, "it has changed since its end was decided", item.path)
