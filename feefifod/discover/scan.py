"""The directory scan: what lies in the data folder. The scan is the truth; events only wake it."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from feefifod.discover.parts import fold_zips, list_parts
from feefifod.errors import Refused
from feefifod.model import FileStamp, Membership
from feefifod.parse.names import Kind, Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from feefifod.discover.parts import Part

_DEEPEST: Final = 32
TOO_DEEP: Final = f"it lies deeper than {_DEEPEST} folders"


@dataclass(frozen=True, slots=True)
class Found:
    """Something in the data folder.

    Attributes:
        path: absolute, as the file system spells it (undecodable bytes as surrogates).
        stamp: of a regular file, else None.
        obstacle: why it cannot be read whatever its name says; empty when nothing is in the way.
        parts: the files of a zip in order, itself alone when it is not split; empty for anything else.
        membership: of which zip it is a scratch copy; None for everything that a person dropped.
    """

    path: str
    stamp: FileStamp | None
    verdict: Verdict
    obstacle: str
    parts: tuple[Part, ...] = ()
    membership: Membership | None = None


def scan(folder: str, closed: dict[str, str] | None = None) -> list[Found]:
    """Return all that lies in `folder` and below it, in the order of paths; a split zip is one thing.

    Args:
        closed: gets the folders (and single entries) that cannot be looked at, and why; they are passed over.

    Raises:
        Refused: the folder itself cannot be listed.
    """
    try:
        return fold_zips(_walk(folder, folder, 0, {} if closed is None else closed))
    except OSError as error:
        raise cannot_list(folder, error) from error


def cannot_list(folder: str, error: OSError) -> Refused:
    """Say that the data folder itself cannot be listed."""
    return Refused(
        f"the data folder cannot be listed: {error.strerror}",
        where=folder,
        remedy="Create it, or change [paths] data, or give this user the right to read it",
    )


def descends(name: str, depth: int) -> bool:
    """Tell whether a folder of this name, so deep below the data folder, is looked into."""
    return depth < _DEEPEST and not name.startswith(".") and name != "__MACOSX"


def _walk(root: str, folder: str, depth: int, closed: dict[str, str]) -> Iterator[Found]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if descends(entry.name, depth):
                            yield from _walk(root, entry.path, depth + 1, closed)
                        elif descends(entry.name, 0):
                            closed[entry.path] = TOO_DEEP
                        continue
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # It was moved or removed since it was listed.
                except OSError as error:
                    if isinstance(error, PermissionError):
                        raise  # What may be listed and not be entered: so it is for each name in it.
                    closed[entry.path] = explain_closed(error)
                    continue
                yield _look(root, entry.path, status)
    except (FileNotFoundError, NotADirectoryError):
        if depth == 0:
            raise
    except OSError as error:
        if depth == 0:
            raise
        closed[folder] = explain_closed(error)


def explain_closed(error: OSError) -> str:
    """Say why a folder or an entry of it cannot be looked at."""
    return f"it cannot be {'read' if error.errno == errno.EACCES else 'looked at'}: {error.strerror or error}"


def find_closed(root: str, path: str) -> tuple[str, str] | None:
    """Return the first folder on the way from `root` to a path that cannot be looked into, and why; None if all can."""
    place = PurePosixPath(os.path.relpath(path, root))
    for folder in (root, *(f"{root}/{part}" for part in reversed(place.parents) if str(part) != ".")):
        try:
            with os.scandir(folder):
                os.stat(f"{folder}/.")  # noqa: PTH116 - any bytes are a name
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return folder, explain_closed(error)
    return None


def look_at(root: str, path: str) -> Found:
    """Judge one path of the data folder, as `scan` does.

    Raises:
        FileNotFoundError: there is no such file.
    """
    found = _look(root, path, os.lstat(path))
    parts = [_look(root, part, os.lstat(part)) for part in list_parts(path)] if found.verdict.kind is Kind.ZIP else []
    return replace(fold_zips(parts)[0], path=path) if parts else found


def _look(root: str, path: str, status: os.stat_result) -> Found:
    return describe(path, status, judge(PurePosixPath(os.path.relpath(path, root))))


def describe(path: str, status: os.stat_result, verdict: Verdict) -> Found:
    """Say what lies at a path whose name was judged."""
    if stat.S_ISREG(status.st_mode):
        links = status.st_nlink
        obstacle = f"it has {links} hard links; waiting until this name is its only one" if links > 1 else ""
        return Found(path, stamp_of(status), verdict, obstacle)
    kind = next((name for test, name in _KINDS if test(status.st_mode)), "not a regular file")
    return Found(path, None, verdict, f"it is {kind}, and only regular files are read")


_KINDS: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def stamp_of(status: os.stat_result) -> FileStamp:
    """Return what tells this state of a file from another."""
    return FileStamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def open_drop(path: str, stamp: FileStamp | None = None) -> int:
    """Open a dropped file for reading, never through a link, never waiting on a pipe; returns a descriptor.

    Raises:
        FileNotFoundError: it is gone, is another file now, or has changed since `stamp` was taken.
        PermissionError: we may not read it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise FileNotFoundError(errno.ENOENT, "it is no regular file any more", path) from error
        raise
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or (stamp is not None and stamp_of(status) != stamp):
        os.close(fd)
        raise FileNotFoundError(errno.ENOENT, "it has changed since it was found complete", path)
    return fd
