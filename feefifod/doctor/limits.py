"""What the kernel allows: open files, memory maps, watched folders."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from feefifod.doctor.finding import Finding, good, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

MANY_FILES: Final = 1_048_576
MANY_MAPS: Final = 1_048_576
FEW_FILES: Final = 4_096
SPARE_WATCHES: Final = 1_000
_PROC: Final = Path("/proc/sys")


def check_limits(data: Path, *, questdb_is_here: bool, questdb_pid: int | None, polls: bool) -> Iterator[Finding]:
    """Look at the limits of this machine; those for QuestDB only where it runs on it."""
    yield judge_own_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    if questdb_is_here:
        if questdb_pid is not None and (files := read_open_files(questdb_pid)) is not None:
            yield judge_questdb_files(files)
        if (maps := read_max_maps()) is not None:
            yield judge_maps(maps)
    watches = read_number(_PROC / "fs/inotify/max_user_watches")
    if watches is not None and not polls:
        yield judge_watches(watches, _count_folders(data))
    instances = read_number(_PROC / "fs/inotify/max_user_instances")
    if instances is not None and not polls:
        yield judge_instances(instances, count_instances())


def judge_own_files(limit: int) -> Finding:
    """Judge how many files feefifod may have open."""
    check, why = "open files", "the more files of a batch stay open, the faster it goes"
    if limit != resource.RLIM_INFINITY and limit < FEW_FILES:
        remedy = f"systemd: LimitNOFILE={MANY_FILES}; shell: ulimit -n {MANY_FILES}, or /etc/security/limits.conf"
        return warn(check, f"at most {limit:,}", why, remedy)
    return good(check, "no limit" if limit == resource.RLIM_INFINITY else f"at most {limit:,}", why)


def judge_questdb_files(limit: int) -> Finding:
    """Judge how many files QuestDB may have open."""
    check, why = "open files of QuestDB", "it opens a file for each column of each partition; without more it suspends"
    if limit != resource.RLIM_INFINITY and limit < MANY_FILES:
        remedy = f"Start it with more, systemd: LimitNOFILE={MANY_FILES}; shell: ulimit -n {MANY_FILES}"
        return warn(check, f"at most {limit:,}, and {MANY_FILES:,} are advised", why, remedy)
    return good(check, "no limit" if limit == resource.RLIM_INFINITY else f"at most {limit:,}", why)


def judge_maps(maps: int) -> Finding:
    """Judge how many memory maps a process may have."""
    check, why = "memory maps", "QuestDB maps each column of each open partition; when no map is left, it suspends"
    if maps < MANY_MAPS:
        remedy = (
            f"Run as root: sysctl -w vm.max_map_count={MANY_MAPS}; to keep it: "
            f"echo vm.max_map_count={MANY_MAPS} > /etc/sysctl.d/60-questdb.conf"
        )
        return warn(check, f"vm.max_map_count = {maps:,}, and {MANY_MAPS:,} is advised", why, remedy)
    return good(check, f"vm.max_map_count = {maps:,}", why)


def judge_watches(watches: int, folders: int) -> Finding:
    """Judge whether every folder below the data folder can be watched."""
    check, why = "watched folders", "without a watch a new file is seen at the next full scan, not at once"
    what = f"{folders:,} to watch, fs.inotify.max_user_watches = {watches:,} for all programs of this user"
    if watches < folders + SPARE_WATCHES:
        wanted = 4 * (folders + SPARE_WATCHES)
        return warn(check, what, why, f"Run as root: sysctl -w fs.inotify.max_user_watches={wanted}")
    return good(check, what, why)


def judge_instances(limit: int, used: int) -> Finding:
    """Judge whether a watcher can be had."""
    check, why = "inotify instances", "without one the data folder is listed every 2 s instead of being watched"
    what = f"{used:,} in use by this user, fs.inotify.max_user_instances = {limit:,}"
    if used >= limit:
        wanted = max(1_024, 4 * limit)
        return warn(check, what, why, f"Run as root: sysctl -w fs.inotify.max_user_instances={wanted}")
    return good(check, what, why)


def count_instances() -> int:
    """Count the inotify instances of this user, as far as /proc shows them."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == os.geteuid():
                count += sum(str(entry.readlink()) == "anon_inode:inotify" for entry in (folder / "fd").iterdir())
        except OSError:
            continue  # It has ended, or is none of ours to look into.
    return count


def read_number(path: Path) -> int | None:
    """Read a number of the kernel; None where there is no such thing."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def read_max_maps() -> int | None:
    """Read how many memory maps a process may have; None where there is no such limit."""
    return read_number(_PROC / "vm/max_map_count")


def read_open_files(pid: int) -> int | None:
    try:
        return psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE)[1]
    except (psutil.Error, AttributeError, OSError):
        return None  # Another user's process, or no Linux.


def _count_folders(data: Path) -> int:
    return sum(1 for _ in os.walk(data))
