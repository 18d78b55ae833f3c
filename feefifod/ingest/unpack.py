"""Unpacking a zip's members into scratch space, as many at a time as the disk has room for.

Members lie on a shelf, `scratch/zips/<SHA-256 of the zip>/<portion>/<member>`. What is found on the shelf is said to be
a copy; no path of any other place is ever taken for one. A portion is hidden until it is whole. Its name holds the boot
of the machine: what was written before a power cut is not trusted, and unpacked again.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import psutil
from anyio import to_thread

from feefifod.discover import Found, copy_member, scan
from feefifod.errors import BadInput, Unavailable
from feefifod.failpoint import Step, reach
from feefifod.model import Membership

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Awaitable, Callable, Sequence

    from feefifod.discover import Member

_ZIP_FOLDER: Final = re.compile(r"[0-9a-f]{64}")
_JOB_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Shelf:
    """The scratch space of unpacked members."""

    root: Path

    def folder(self, sha256: bytes) -> Path:
        """Return where members of a zip lie."""
        return self.root / sha256.hex()

    def find(self) -> list[Found]:
        """Return all members that are unpacked and can be trusted."""
        return [found for folder in self._folders() for found in self.find_of(folder)]

    def find_of(self, folder: Path) -> list[Found]:
        """Return the members of one zip that are unpacked and can be trusted, each with what it is a copy of."""
        sha256 = bytes.fromhex(folder.name)
        portions = [path for path in sorted(folder.glob(f"{boot_name()}-*")) if path.is_dir()]
        return [
            replace(found, membership=Membership(sha256, os.path.relpath(found.path, portion)))
            for portion in portions
            for found in scan(str(portion))
        ]

    def places(self, sha256: bytes) -> set[str]:
        """Return which members of a zip are unpacked."""
        return {found.membership.place for found in self.find_of(self.folder(sha256)) if found.membership}

    def tidy(self, sha256: bytes) -> None:
        """Remove what was left half unpacked, or before the machine was started anew. For the zip's owner alone."""
        for path in self.folder(sha256).glob("*"):
            if not path.name.startswith(f"{boot_name()}-"):
                shutil.rmtree(path, ignore_errors=True)

    def clear(self, sha256: bytes) -> None:
        """Remove everything of a zip."""
        shutil.rmtree(self.folder(sha256), ignore_errors=True)

    def clear_strange(self, known: set[bytes]) -> None:
        """Remove what is left of zips that nobody knows any more, except members that can still be loaded."""
        for folder in self._folders():
            sha256 = bytes.fromhex(folder.name)
            if sha256 in known:
                continue
            self.tidy(sha256)
            if not self.find_of(folder):
                self.clear(sha256)

    def _folders(self) -> list[Path]:
        if not self.root.is_dir():
            return []
        return [path for path in sorted(self.root.iterdir()) if _ZIP_FOLDER.fullmatch(path.name)]


def boot_name() -> str:
    """Name the time since the machine was started."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return str(int(psutil.boot_time()))


def choose_portion(members: Sequence[Member], folder: Path) -> list[Member]:
    """Return all members if half of the free disk holds them, else as many as it holds, in the order of names.

    The other half is for the rows: the table may lie on the same disk.

    Raises:
        Unavailable: there is not even room for one.
    """
    free = shutil.disk_usage(folder).free
    room = free // 2
    portion: list[Member] = []
    for member in sorted(members, key=lambda member: member.place):
        room -= member.size
        if room < 0:
            break
        portion.append(member)
    if not portion:
        needed = min(members, key=lambda member: member.place).size
        raise Unavailable(
            f"the next file of the zip needs {needed:,} bytes to be unpacked, and {free:,} are free, of which half"
            " is used at most",
            where=str(folder),
            remedy="Free some space there; it goes on by itself",
        )
    return portion


async def unpack(
    archive: zipfile.ZipFile,
    members: Sequence[Member],
    folder: Path,
    *,
    workers: int,
    go_on: Callable[[], Awaitable[None]],
) -> None:
    """Unpack members into a new portion of `folder`, which appears as a whole or not at all.

    Args:
        go_on: called between jobs; what it raises ends the work.

    Raises:
        BadInput: a member is damaged, or not as long as it says.
        Unavailable: it cannot be written; there was less room than it seemed.
    """
    number = next(n for n in count(1) if not (folder / f"{boot_name()}-{n}").exists())
    portion = folder / f"{boot_name()}-{number}"
    draft = portion.with_name(f".{portion.name}")
    jobs = _split(members)
    limiter = anyio.CapacityLimiter(workers)
    failures: list[BadInput | Unavailable] = []

    async def work(job: Sequence[Member]) -> None:
        failures.extend(await to_thread.run_sync(_unpack_some, archive, job, draft, limiter=limiter))

    try:
        for start in range(0, len(jobs), workers):
            await go_on()
            async with anyio.create_task_group() as tasks:
                for job in jobs[start : start + workers]:
                    tasks.start_soon(work, job, name="unpack")
            if failures:
                raise failures[0]
        draft.rename(portion)
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(partial(shutil.rmtree, draft, ignore_errors=True))


def _split(members: Sequence[Member]) -> list[list[Member]]:
    """Make jobs that take a thread a second or so."""
    jobs: list[list[Member]] = []
    left = 0
    for member in members:
        if left <= 0:
            jobs.append([])
            left = _JOB_BYTES
        jobs[-1].append(member)
        left -= member.size
    return jobs


def _unpack_some(archive: zipfile.ZipFile, members: Sequence[Member], folder: Path) -> list[BadInput | Unavailable]:
    try:
        for member in members:
            target = folder / member.place
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_member(archive, member, target)
            reach(Step.MEMBER_UNPACKED)
    except BadInput as error:
        return [error]
    except OSError as error:
        why = f"a zip cannot be unpacked: {error.strerror or error}"
        remedy = "Look at the disk and its free space; it is tried again"
        return [Unavailable(why, where=str(folder.parent), remedy=remedy)]
    return []
