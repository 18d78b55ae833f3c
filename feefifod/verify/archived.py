"""The archive's side: files that were loaded, found again and made sure of."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from anyio import to_thread

from feefifod.archive import unpack_file, unwrap_file
from feefifod.discover import Part, copy_member, list_parts, open_drop, open_zip, read_contents, stamp_of
from feefifod.errors import BadInput
from feefifod.parse.head import inspect_head
from feefifod.sweep import SweepFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from zipfile import ZipFile

    from feefifod.catalog.verification import DoneFile
    from feefifod.discover import Member
    from feefifod.model import FileStamp
    from feefifod.parse.head import Head
    from feefifod.verify.kit import Kit

_HEAD_BYTES: Final = 64 * 1024
_JOB_BYTES: Final = 32 * 1024 * 1024
_JOB_FILES: Final = 256


@dataclass(frozen=True, slots=True)
class Archived:
    """A file that is in the archive exactly as it was loaded.

    Attributes:
        irregular: it has to be put in order before it is swept.
    """

    file: DoneFile
    path: str
    stamp: FileStamp
    head: Head
    irregular: bool

    def to_sweep(self, asset_id: int, order: int) -> SweepFile:
        """Describe it to the sweep."""
        return SweepFile(
            id=self.file.id,
            order=order,
            open=partial(open_drop, self.path, self.stamp),
            size=self.stamp.size,
            data_start=self.head.data_start,
            fields=self.head.fields,
            asset_id=asset_id,
            interval_minutes=self.file.series.interval_minutes,
            quote=self.file.series.quote,
        )


@dataclass(frozen=True, slots=True)
class Lost:
    """A file that is not in the archive as it was loaded, and why."""

    file: DoneFile
    reason: str


async def find_archived(kit: Kit, files: Sequence[DoneFile], scratch: Path) -> list[Archived | Lost]:
    """Find files again and hash them, many small ones per thread hop; the results come in the order of `files`.

    Args:
        scratch: where packed files and members of zips are unpacked to; it need not exist.
    """
    results: dict[int, Archived | Lost] = {}
    by_zip: dict[bytes, list[DoneFile]] = defaultdict(list)
    job: list[DoneFile] = []
    job_bytes = 0
    for file in files:
        if file.zip_place is not None and file.member is not None:
            by_zip[file.zip_place].append(file)
            continue
        if job and (len(job) >= _JOB_FILES or job_bytes + file.size > _JOB_BYTES):
            results |= await to_thread.run_sync(_find_some, job, scratch, limiter=kit.reading)
            job, job_bytes = [], 0
        job.append(file)
        job_bytes += file.size
    if job:
        results |= await to_thread.run_sync(_find_some, job, scratch, limiter=kit.reading)
    for place, members in by_zip.items():
        results |= await to_thread.run_sync(_find_members, os.fsdecode(place), members, scratch, limiter=kit.reading)
    return [results[file.id] for file in files]


def _find_some(files: Sequence[DoneFile], scratch: Path) -> dict[int, Archived | Lost]:
    return {file.id: _find_one(file, scratch) for file in files}


def _find_one(file: DoneFile, scratch: Path) -> Archived | Lost:
    if file.moved_to is None:
        return Lost(file, file.reason or "the ledger does not know where it is")
    place = os.fsdecode(file.moved_to)
    if file.wrapping:
        return _find_wrapped(file, place, scratch / f"{file.id}.csv")
    return _find_packed(file, place, scratch / f"{file.id}.csv") if file.packed else _find(file, place)


def _find_wrapped(file: DoneFile, place: str, target: Path) -> Archived | Lost:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        fd = open_drop(place)
        try:
            unwrap_file(fd, file.wrapping, target)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return Lost(file, f"it is not at {place} any more")
    except OSError as error:
        return Lost(file, f"{place} cannot be unpacked: {error.strerror or error}")
    except BadInput as error:
        return Lost(file, f"{place} cannot be understood any more: {error}")
    return _find(file, str(target))


def _find_packed(file: DoneFile, place: str, target: Path) -> Archived | Lost:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        fd = open_drop(place)
        try:
            unpack_file(fd, target, file.size)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return Lost(file, f"it is not at {place} any more")
    except OSError as error:
        return Lost(file, f"{place} cannot be unpacked: {error.strerror or error}")
    return _find(file, str(target))


def _find_members(zip_path: str, files: Sequence[DoneFile], scratch: Path) -> dict[int, Archived | Lost]:
    """Unpack members of one zip, each under the number of its ledger row."""
    try:
        parts = [Part(path, stamp_of(os.lstat(path))) for path in list_parts(zip_path)]
        with open_zip(parts) as archive:
            members = {member.place: member for member in read_contents(archive).members}
            scratch.mkdir(parents=True, exist_ok=True)
            return {file.id: _find_member(file, archive, members, scratch / f"{file.id}.csv") for file in files}
    except OSError as error:
        reason = f"the zip that holds it, {zip_path}, cannot be read: {error.strerror or error}"
    except BadInput as error:
        reason = f"the zip that holds it, {zip_path}: {error}"
    return {file.id: Lost(file, reason) for file in files}


def _find_member(file: DoneFile, archive: ZipFile, members: Mapping[str, Member], target: Path) -> Archived | Lost:
    member = members.get(file.member or "")
    if member is None or member.size != file.size:
        return Lost(file, "its zip does not hold it any more as it was loaded")
    if not file.wrapping:
        copy_member(archive, member, target)
        return _find(file, str(target))
    wrapped = target.with_suffix(".wrapped")
    copy_member(archive, member, wrapped)
    return _find_wrapped(file, str(wrapped), target)


def _find(file: DoneFile, path: str) -> Archived | Lost:
    try:
        fd = open_drop(path)
    except FileNotFoundError:
        return Lost(file, f"it is not at {path} any more")
    except OSError as error:
        return Lost(file, f"{path} cannot be read: {error.strerror}")
    try:
        return _examine(file, path, fd)
    except OSError as error:
        return Lost(file, f"{path} cannot be read: {error.strerror}")
    except BadInput as error:
        return Lost(file, f"{path} cannot be understood any more: {error}")
    finally:
        os.close(fd)


def _examine(file: DoneFile, path: str, fd: int) -> Archived | Lost:
    with open(fd, "rb", buffering=0, closefd=False) as content:
        digest = hashlib.file_digest(content, "sha256").digest()
    if digest != file.sha256:
        return Lost(file, f"{path} has another content than when it was loaded")
    stamp = stamp_of(os.fstat(fd))
    head = inspect_head(os.pread(fd, _HEAD_BYTES, 0), file.series)
    terminated = os.pread(fd, 1, stamp.size - 1) == b"\n"
    return Archived(file, path, stamp, head, file.irregular or head.irregular or not terminated)
