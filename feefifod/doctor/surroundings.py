"""What the embedded servers need of this machine: programs in their folders, shared memory, memory that is promised."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from feefifod.doctor.finding import Finding, good, warn
from feefifod.doctor.limits import read_number

_SHARED: Final = Path("/dev/shm")  # noqa: S108 - where PostgreSQL puts its shared memory
_SHARED_MIB: Final = 32


def check_surroundings(state: Path) -> Iterator[Finding]:
    """Look at what the embedded servers need."""
    yield judge_programs("state", state, noexec=forbids_programs(state))
    temporary = Path(tempfile.gettempdir())
    yield judge_programs("temporary files", temporary, noexec=forbids_programs(temporary))
    yield judge_shared(read_free_mib(_SHARED))
    overcommit = read_number(Path("/proc/sys/vm/overcommit_memory"))
    if overcommit is not None:
        yield judge_overcommit(overcommit)


def judge_programs(name: str, folder: Path, *, noexec: bool) -> Finding:
    """Judge whether programs and libraries may be run from a folder."""
    check, why = f"programs in {name}", "the embedded servers load libraries from there"
    if noexec:
        remedy = f"Mount it without noexec, or use another folder ({'TMPDIR' if name != 'state' else 'paths.state'})"
        return warn(check, f"{folder} is mounted noexec", why, remedy)
    return good(check, "may be run", why)


def judge_shared(free_mib: int | None) -> Finding:
    """Judge the shared memory: how much of it is free, None where it cannot be written."""
    check, why = "shared memory", "PostgreSQL shares memory between its processes there"
    remedy = "Mount a tmpfs there that everybody may write to; docker: --shm-size=256m"
    if free_mib is None:
        return warn(check, f"{_SHARED} is missing, or cannot be written", why, remedy)
    if free_mib < _SHARED_MIB:
        return warn(check, f"{free_mib:,} MiB free, and {_SHARED_MIB} MiB are needed", why, remedy)
    return good(check, f"{free_mib:,} MiB free", why)


def judge_overcommit(mode: int) -> Finding:
    """Judge whether the kernel promises more memory than there is."""
    check, why = "memory overcommit", "Java reserves far more memory than it uses"
    if mode == 2:
        remedy = "Run as root: sysctl -w vm.overcommit_memory=0, or leave room: vm.overcommit_ratio"
        return warn(check, "vm.overcommit_memory = 2", why, remedy)
    return good(check, f"vm.overcommit_memory = {mode}", why)


def forbids_programs(folder: Path) -> bool:
    """Tell whether no program may be run from the file system of a folder that may not be there yet."""
    for place in (folder, *folder.absolute().parents):
        try:
            return bool(os.statvfs(place).f_flag & os.ST_NOEXEC)
        except OSError:
            continue
    return False


def read_free_mib(folder: Path) -> int | None:
    """Read how much is free in a folder; None where nothing can be written."""
    try:
        return os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize >> 20 if os.access(folder, os.W_OK) else None
    except OSError:
        return None
