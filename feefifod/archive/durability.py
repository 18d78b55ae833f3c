"""What makes a copy or a rename last, as far as its file system can: FAT, CIFS and many FUSE systems can less."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

NOT_SUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY})
_NO_SYNC: Final = NOT_SUPPORTED | {errno.EBADF, errno.EISDIR}


def sync_file(fd: int) -> None:
    """Make a file's content, or a folder's names, durable, as far as its file system can.

    Raises:
        OSError: it could not be written.
    """
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def sync_folders(folders: Iterable[Path]) -> None:
    """Make renames in these folders durable, as far as their file systems can.

    Raises:
        OSError: what was done there may be lost.
    """
    for folder in set(folders):
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except PermissionError:
            continue  # A folder may be writable, and closed to those who would list it.
        try:
            sync_file(fd)
        finally:
            os.close(fd)


def copy_times(status: os.stat_result, path: Path) -> None:
    """Give a copy the times of its original, where that can be done."""
    with suppress(OSError):
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
