"""The first look into claimed files: content hash, how they begin, and what can be decided at once."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from feefifod.discover import open_drop, stamp_of
from feefifod.errors import BadInput
from feefifod.parse.glance import Pieces, has_bad_rows
from feefifod.parse.head import Head, inspect_head
from feefifod.pulse import beat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from feefifod.catalog import ClaimedFile
    from feefifod.ingest.unwrap import Unwrapper

_HEAD_BYTES: Final = 64 * 1024
_CHUNK_BYTES: Final = 1024 * 1024
_JOB_BYTES: Final = 32 * 1024 * 1024
_JOB_FILES: Final = 256
_PLAUSIBLE_SECONDS: Final = 4_102_444_800
"""The year 2100: later times are no seconds. Those between tomorrow and then are judged where all rows are read."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a first look showed.

    Attributes:
        head: how the file begins; None when it is empty, refused or gone.
        sha256: of the whole content; None when it is gone.
        irregular: it cannot be swept as it is.
        empty: it has no data row at all.
        refusal: why it is refused as a whole.
        gone: it is not the file that was claimed any more, and why.
        unreadable: what the system says when it is read.
        unwrapped: the scratch file with what is inside of it; None when nothing is around its candles.
    """

    file: ClaimedFile
    head: Head | None = None
    sha256: bytes | None = None
    irregular: bool = False
    empty: bool = False
    refusal: str = ""
    gone: str = ""
    unreadable: str = ""
    unwrapped: ClaimedFile | None = None

    @property
    def content(self) -> ClaimedFile:
        """The file that is read: itself, or what is inside of it."""
        return self.unwrapped or self.file


async def inspect_files(
    files: Sequence[ClaimedFile], limiter: anyio.CapacityLimiter, unwrapper: Unwrapper
) -> list[Inspection]:
    """Look into files, many small ones per thread hop; the results come in the order of `files`."""
    results: dict[int, list[Inspection]] = {}

    async def work(place: int, job: Sequence[ClaimedFile]) -> None:
        results[place] = await to_thread.run_sync(_inspect_some, job, unwrapper, limiter=limiter)

    async with anyio.create_task_group() as jobs:
        for place, job in enumerate(_divide(files)):
            jobs.start_soon(work, place, job)
    return [inspection for place in sorted(results) for inspection in results[place]]


def _divide(files: Sequence[ClaimedFile]) -> Iterator[list[ClaimedFile]]:
    job: list[ClaimedFile] = []
    job_bytes = 0
    for file in files:
        if job and (len(job) >= _JOB_FILES or job_bytes + file.stamp.size > _JOB_BYTES):
            yield job
            job, job_bytes = [], 0
        job.append(file)
        job_bytes += file.stamp.size
    if job:
        yield job


def _inspect_some(files: Sequence[ClaimedFile], unwrapper: Unwrapper) -> list[Inspection]:
    return [_inspect_wrapped(file, unwrapper) if file.wrapping else inspect_file(file) for file in files]


def _inspect_wrapped(file: ClaimedFile, unwrapper: Unwrapper) -> Inspection:
    """Take off what is around a file's candles, and look into what was inside."""
    try:
        unwrapped = unwrapper.unwrap(file)
    except FileNotFoundError as error:
        return Inspection(file, gone=error.strerror or str(error))
    except OSError as error:
        return Inspection(file, unreadable=error.strerror or str(error))
    except BadInput as error:
        return Inspection(file, refusal=str(error))
    return replace(inspect_file(unwrapped), file=file, unwrapped=unwrapped)


def inspect_file(file: ClaimedFile) -> Inspection:
    """Look into one file. A hash that the ledger holds is trusted, for the file's stamp is that of the ledger."""
    try:
        fd = open_drop(os.fsdecode(file.path), file.stamp)
    except FileNotFoundError as error:
        return Inspection(file, gone=error.strerror or str(error))
    except OSError as error:
        return Inspection(file, unreadable=error.strerror or str(error))
    try:
        return _look(fd, file)
    except OSError as error:
        return Inspection(file, unreadable=error.strerror or str(error))
    finally:
        os.close(fd)


def find_changed(files: Sequence[ClaimedFile]) -> list[ClaimedFile]:
    """Return the files that are not any more what they were when they were claimed. Blocking."""
    return [file for file in files if not _is_unchanged(file)]


def _is_unchanged(file: ClaimedFile) -> bool:
    try:
        return stamp_of(os.lstat(file.path)) == file.stamp
    except OSError:
        return False


def _look(fd: int, file: ClaimedFile) -> Inspection:
    start = os.pread(fd, _HEAD_BYTES, 0)
    sha256, blank = (file.sha256, False) if file.sha256 else _hash(fd)
    if stamp_of(os.fstat(fd)) != file.stamp:
        return Inspection(file, gone="it changed while it was read")
    if blank:
        return Inspection(file, sha256=sha256, empty=True)
    try:
        head = inspect_head(start, file.series)
    except BadInput as error:
        return Inspection(file, sha256=sha256, refusal=str(error))
    if head.data_start >= file.stamp.size:
        return Inspection(file, sha256=sha256, empty=True)
    terminated = os.pread(fd, 1, file.stamp.size - 1) == b"\n"
    irregular = file.irregular or not terminated or head.irregular
    if irregular:
        return Inspection(file, head, sha256, irregular=True)
    pieces = Pieces(
        partial(_read_at, fd, start),
        head.data_start,
        file.stamp.size,
        head.fields,
        file.series.interval_minutes,
        _PLAUSIBLE_SECONDS,
    )
    return Inspection(file, head, sha256, irregular=has_bad_rows(pieces))


def _read_at(fd: int, start: bytes, size: int, offset: int) -> bytes:
    """Read a piece of a file whose beginning is known."""
    return start[offset : offset + size] if offset + size <= len(start) else os.pread(fd, size, offset)


def _hash(fd: int) -> tuple[bytes, bool]:
    """Return the SHA-256 of a file and whether it is blank from end to end."""
    digest = hashlib.sha256()
    blank = True
    offset = 0
    while piece := os.pread(fd, _CHUNK_BYTES, offset):
        digest.update(piece)
        beat()
        blank = blank and not piece.strip()
        offset += len(piece)
    return digest.digest(), blank
