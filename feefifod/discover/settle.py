"""When is a dropped file complete?

It has not changed for the settle time, no process has it open for writing, and it ends as such a file ends: a CSV
with a newline, a compressed one with its last frame, a zip with its central directory. No downloader has left a note
beside it that it is still at work. Of a split zip all this is true for every part, and none is missing.
Modification times are never trusted (`cp -p`, `rsync -t` and unzip set old ones); the change time cannot be set back.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import signal
import stat
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from feefifod.discover.frames import is_cut_off
from feefifod.discover.scan import Found, open_drop
from feefifod.discover.siblings import Siblings
from feefifod.discover.zips import find_missing_part, has_directory, is_blank
from feefifod.parse.names import PACKED_SUFFIX, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from feefifod.config import WatchSettings
    from feefifod.discover.parts import Part
    from feefifod.model import FileStamp


@dataclass(frozen=True, slots=True)
class Settlement:
    """Whether a file is complete; if not, why not, and after how many seconds it is worth another look.

    `trouble`: waiting alone does not help, there is something to mend.
    """

    complete: bool
    reason: str
    wait_seconds: float = 0.0
    trouble: bool = False


class Settler:
    """Remembers since when each file has not changed.

    Args:
        clock: monotonic seconds; wall: seconds since 1970, on the clock that file systems use.
    """

    def __init__(
        self,
        watch: WatchSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._watch = watch
        self._clock = clock
        self._wall = wall
        self._seen: dict[str, tuple[FileStamp, float]] = {}

    def judge(self, found: Iterable[Found]) -> dict[str, Settlement]:
        """Judge files that have a stamp, and forget those that are not named any more."""
        seen: dict[str, tuple[FileStamp, float]] = {}
        settlements = {}
        siblings = Siblings(self._wall)
        for item in found:
            if item.stamp is None:
                continue
            before = self._seen.get(item.path)
            since = before[1] if before and before[0] == item.stamp else self._clock()
            seen[item.path] = (item.stamp, since)
            settlements[item.path] = self.settle(item, item.stamp, since, siblings)
        self._seen = seen
        return settlements

    def settle(self, found: Found, stamp: FileStamp, since: float, siblings: Siblings) -> Settlement:
        """Judge a file that has been as it is since this instant of the clock, by itself and by what lies beside it."""
        settlement = self._judge(found, stamp, since)
        return self._judge_siblings(found, siblings) if settlement.complete else settlement

    def _judge(self, found: Found, stamp: FileStamp, since: float) -> Settlement:
        # A change time in the past is as good as having watched, for nobody can set it back; one in the
        # future (a clock that jumped) proves nothing.
        quiet = max(self._clock() - since, self._wall() - stamp.ctime_ns / 1e9)
        if found.obstacle:
            return Settlement(False, found.obstacle, self._wait(self._watch.settle_seconds, quiet))
        if quiet < self._watch.settle_seconds:
            return Settlement(False, _CHANGED, self._watch.settle_seconds - quiet)
        try:
            if found.parts and (lack := find_missing_part(found.parts)):
                return Settlement(False, lack, self._watch.rescan_seconds)
            ending = _look_inside_zip(found.parts) if found.parts else _look_inside_csv(found, stamp)
        except FileNotFoundError:
            return Settlement(False, _CHANGED, self._watch.settle_seconds)
        except OSError as error:
            return Settlement(False, _explain(found.path, error), self._watch.rescan_seconds, trouble=True)
        return self._judge_ending(ending, quiet)

    def _judge_siblings(self, found: Found, siblings: Siblings) -> Settlement:
        """Judge what else is complete by what downloaders have put beside it."""
        sibling = siblings.find(found)
        if sibling is None:
            return Settlement(True, "complete")
        return Settlement(False, sibling.reason, self._watch.rescan_seconds, trouble=sibling.stale)

    def _judge_ending(self, ending: str, quiet_seconds: float) -> Settlement:
        if ending == _WRITER:
            wait = self._wait(min(self._watch.settle_seconds, 1.0), quiet_seconds)
            return Settlement(False, _WRITER, min(wait, _LONGEST_WRITER_SECONDS))
        left = self._watch.truncated_seconds - quiet_seconds
        if ending and left > 0:
            return Settlement(False, f"{ending}; it is judged in {left:.0f} s if it stays so", min(left, 5.0))
        return Settlement(True, "complete")

    def _wait(self, least_seconds: float, quiet_seconds: float) -> float:
        """Return when to look again at what no event tells of: the longer it has been so, the more rarely."""
        return min(max(least_seconds, quiet_seconds * _PATIENCE), max(self._watch.rescan_seconds, least_seconds))


def _look_inside_csv(found: Found, stamp: FileStamp) -> str:
    """Return what keeps any other file from being complete, as `look_inside`; only an OHLCVT file lacks something."""
    ohlcvt = found.verdict.kind is Kind.OHLCVT
    packed = found.verdict.wrapping.endswith(PACKED_SUFFIX)
    ending = look_inside(found.path, stamp, check_line=ohlcvt and not packed)
    if ending or not packed:
        return ending
    fd = open_drop(found.path, stamp)
    try:
        return _EMPTY if stamp.size == 0 else "its end is missing" if is_cut_off(fd) else ""
    finally:
        os.close(fd)


def _look_inside_zip(parts: Sequence[Part]) -> str:
    """Return what keeps a zip from being complete, as `look_inside`."""
    if any(look_inside(part.path, part.stamp, check_line=False) for part in parts):
        return _WRITER
    if sum(part.stamp.size for part in parts) == 0:
        return _EMPTY
    if not has_directory(parts):
        return "there is no central directory at its end"
    return "there is no file in it" if is_blank(parts) else ""


_LONGEST_WRITER_SECONDS: Final = 5.0
"""The kernel tells a watcher of no close, so a writer is asked for again at least this often."""
_PATIENCE: Final = 1 / 8
_CHANGED: Final = "it changed a moment ago; waiting until it is quiet"
_EMPTY: Final = "it is empty"
_WRITER: Final = "another process has it open for writing"


def _explain(path: str, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return explain_unreadable(path)
    return f"it cannot be read: {error.strerror}"


def look_inside(path: str, stamp: FileStamp, *, check_line: bool) -> str:
    """Return what keeps a file from being complete: a writer, or what its ending lacks; "" when nothing does.

    Raises:
        FileNotFoundError: it is gone or has changed. PermissionError: we may not read it.
    """
    fd = open_drop(path, stamp)
    try:
        if has_writer(fd):
            return _WRITER
        if not check_line:
            return ""
        if stamp.size == 0:
            return _EMPTY
        if os.pread(fd, 1, stamp.size - 1) != b"\n":
            return "its last line is not terminated"
        return ""
    finally:
        os.close(fd)


def has_writer(fd: int) -> bool:
    """Ask the kernel whether any process has this file open for writing.

    A read lease is refused while one has (fcntl(2), F_SETLEASE). Where leases do not exist (network file
    systems, macOS) or are not ours to take, the answer is no and the settle time alone decides.
    """
    if sys.platform != "linux":
        return False
    try:
        # A writer that comes while we hold the lease is announced by a signal; the usual one would end the process.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN and find_file_system(os.fstat(fd).st_dev) not in _LEASES_OF_A_SERVER
    with suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


_LEASES_OF_A_SERVER: Final = ("nfs", "nfs4", "cifs", "smb3", "smbfs")
"""There the kernel refuses a lease also when the server has delegated nothing to it: that says nothing of writers."""


def find_file_system(device: int) -> str:
    """Return the type of the file system with this device number, as mount(8) calls it; "" when it is not known."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    found = (line.partition(" - ")[2].split(" ")[0] for line in lines if line.split(" ")[2:3] == [number])
    return next(found, "")


def explain_unreadable(path: str) -> str:
    """Say who owns a file that we may not read, its mode, and what to do."""
    status = os.lstat(path)
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    mode = stat.S_IMODE(status.st_mode)
    return f"it belongs to {owner} with mode {mode:04o} and cannot be read; remedy: chmod a+r on it"
