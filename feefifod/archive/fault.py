"""Why a finished file could not be moved: which side failed, the folder it lies in or the one it goes to."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import stat
import struct
import tempfile
from pathlib import Path
from typing import Final

from feefifod.errors import Unavailable

_GET_FLAGS: Final = 0x80086601
"""FS_IOC_GETFLAGS of Linux: what `lsattr` shows."""
_IMMUTABLE: Final = 0x10
_APPEND_ONLY: Final = 0x20
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


class SourceFault(OSError):
    """The file, or the folder that it lies in, is what failed."""


class ReadFault(SourceFault):
    """The file cannot be read, and so not be copied to another file system."""


class TargetFault(OSError):
    """The folder that it goes to, or the file system there, is what failed."""


def explain_move(error: OSError, source: str, folder: Path) -> Unavailable:
    """Say which side of a failed move failed, why, and what to do. Blocking: it tries what can be tried.

    Args:
        error: what a system call on either said.
        source: the file, which is where it was; folder: where it was to go.
    """
    cause = error.strerror or str(error)
    if isinstance(error, ReadFault):
        remedy = f"Look at the disk that it lies on, and let {name_user()} read it; the move is tried again"
        return Unavailable(f"a finished file cannot be read to be copied away: {cause}", where=source, remedy=remedy)
    home = Path(source).parent
    if isinstance(error, TargetFault):
        return explain_target(error, folder)
    if isinstance(error, SourceFault) or (error.errno not in _NO_ROOM and _takes_files(folder)):
        why = find_fixture(home, source) or cause
        return Unavailable(
            f"a finished file cannot be moved away from here: {why}",
            where=str(home),
            remedy=f"Let {name_user()} change this folder; the move is tried again",
        )
    return explain_target(error, folder)


def explain_target(error: OSError, folder: Path) -> Unavailable:
    """Say why finished files cannot be put into a folder, and what to do."""
    cause = error.strerror or str(error)
    if error.errno in _NO_ROOM:
        cause = os.strerror(error.errno or errno.ENOSPC)
        remedy = "Free some space there, or raise the quota; the move is tried again"
    elif error.errno in (errno.EEXIST, errno.ENOTDIR) and not folder.is_dir():
        cause, remedy = "a file is in the folder's place", "Move that file away; the move is tried again"
    else:
        cause = find_fixture(folder) or cause
        remedy = "Give feefifod the right and the space to write there; the move is tried again"
    return Unavailable(f"a finished file cannot be moved there: {cause}", where=str(folder), remedy=remedy)


def _takes_files(folder: Path) -> bool:
    """Tell whether a file can be made in a folder now, by making one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".feefifod-", suffix=".part")
        os.close(handle)
        Path(name).unlink()
    except OSError:
        return False
    return True


def find_fixture(folder: Path, file: str = "") -> str:
    """Say what keeps this user from taking a file out of a folder, or from putting one in; "" when nothing is seen."""
    try:
        status = folder.stat()
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return os.strerror(errno.EROFS)
        if not can_change(folder):
            mode = stat.S_IMODE(status.st_mode)
            return f"{name_user()} may not change this folder, which has mode {mode:04o}"
        if flags := _read_flags(folder) & (_IMMUTABLE | _APPEND_ONLY):
            letter = "i" if flags & _IMMUTABLE else "a"
            return f"the folder is {'immutable' if letter == 'i' else 'append-only'} (lsattr shows {letter})"
        return find_file_fixture(status, file) if file else ""
    except OSError:
        return ""


def find_file_fixture(folder: os.stat_result, file: str) -> str:
    """Say what keeps this user from taking a file out of a folder that it may change; "" when nothing is seen."""
    status = os.lstat(file)
    if is_held(folder, status):
        return "the folder has the sticky bit, and the file belongs to another user"
    if stat.S_ISREG(status.st_mode) and _read_flags(Path(file)) & (_IMMUTABLE | _APPEND_ONLY):
        return f"{Path(file).name} is immutable or append-only (see lsattr)"
    return ""


def is_held(folder: os.stat_result, file: os.stat_result) -> bool:
    """Tell whether a folder's sticky bit keeps this user from moving a file out of it."""
    return bool(folder.st_mode & stat.S_ISVTX) and os.geteuid() not in (0, folder.st_uid, file.st_uid)


def can_change(folder: Path) -> bool:
    """Tell whether this user has the right to change a folder."""
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def name_user() -> str:
    """Return the name of the user that this process runs as, or its number where it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _read_flags(path: Path) -> int:
    """Return a file's attributes; 0 where there are none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        flags: int = struct.unpack("=L", fcntl.ioctl(fd, _GET_FLAGS, bytes(8))[:4])[0]
    except OSError:
        return 0
    finally:
        os.close(fd)
    return flags
