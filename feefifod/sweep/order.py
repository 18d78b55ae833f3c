"""Putting an irregular file in order: bad rows set aside, the good ones sorted into Arrow files in scratch space."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from feefifod.errors import BadInput, Unavailable
from feefifod.model import Candles, Series
from feefifod.parse.faults import Faults
from feefifod.parse.head import inspect_head
from feefifod.parse.rows import has_only_six_fields, read_rows
from feefifod.pulse import beat
from feefifod.sweep.merge import rank_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from feefifod.parse.rows import Reject

_NAMES: Final = ("time_seconds", "open", "high", "low", "close", "volume", "trade_count")
_HEAD_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Ordered:
    """What became of an irregular file.

    Attributes:
        paths: Arrow files, each sorted by time with every time once; together they are the file's good rows.
        rows: good rows, repeated times included. rejected: bad rows.
        wrong: why the file should be refused as a whole; None when it is well, but for some rows.
    """

    paths: tuple[Path, ...]
    rows: int
    rejected: int
    wrong: BadInput | None = None


def order_file(
    fd: int,
    *,
    interval_minutes: int,
    latest_seconds: int,
    scratch: Path,
    chunk_rows: int,
    on_rejects: Callable[[list[Reject]], None],
    series: Series | None = None,
) -> Ordered:
    """Read a whole file in bounded memory. Blocking; meant for a worker thread.

    Args:
        fd: the open file; it is read from its beginning and left open.
        scratch: a prefix for the files to write, `<scratch>.0.arrow` and so on.
        chunk_rows: rows that are sorted in memory at once.
        on_rejects: receives bad rows in the order of the file.
        series: what the file's name says.

    Raises:
        BadInput: it is not text at all, or its header cannot be understood. OSError: it cannot be read.
        Unavailable: scratch space cannot be written.
    """
    size = os.fstat(fd).st_size
    head = inspect_head(os.pread(fd, _HEAD_BYTES, 0), series)
    if head.fields == 6 and head.layout is None and not has_only_six_fields(_reader(fd), head.data_start):
        head = replace(head, fields=7)
    terminated = size == 0 or os.pread(fd, 1, size - 1) == b"\n"
    paths: list[Path] = []
    pending: list[Candles] = []
    pending_rows = rows = rejected = 0
    faults = Faults(interval_minutes)

    def put_away() -> None:
        candles = _sort(pending)
        paths.append(_write(candles, scratch.with_name(f"{scratch.name}.{len(paths)}.arrow")))

    chunks = read_rows(
        _reader(fd),
        head=head,
        interval_minutes=interval_minutes,
        latest_seconds=latest_seconds,
        terminated=terminated,
        series=series,
    )
    for chunk in chunks:
        beat()
        if chunk.rejects:
            on_rejects(chunk.rejects)
            faults.add(chunk.rejects)
            rejected += len(chunk.rejects)
        if len(chunk.candles):
            pending.append(chunk.candles)
            pending_rows += len(chunk.candles)
            rows += len(chunk.candles)
        if pending_rows >= chunk_rows:
            put_away()
            pending, pending_rows = [], 0
    if pending:
        put_away()
    return Ordered(tuple(paths), rows, rejected, faults.judge(rows))


def _reader(fd: int) -> Callable[[int], bytes]:
    position = 0

    def read(size: int) -> bytes:
        nonlocal position
        data = os.pread(fd, size, position)
        position += len(data)
        return data

    return read


def _sort(pieces: list[Candles]) -> Candles:
    """Put rows in the order of time, each time once."""
    columns = [np.concatenate([getattr(piece, name) for piece in pieces]) for name in _NAMES]
    order = rank_rows(columns[0], columns[6], columns[5])
    time = columns[0][order]
    wins = np.append(time[1:] != time[:-1], True)
    order = order[wins]
    return Candles(*(column[order] for column in columns))


def _write(candles: Candles, path: Path) -> Path:
    batch = pa.record_batch([pa.array(getattr(candles, name)) for name in _NAMES], names=list(_NAMES))
    try:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
    except OSError as error:
        raise Unavailable(
            f"scratch space cannot be written: {error.strerror or error}",
            where=str(path.parent),
            remedy="Free some space there; it goes on by itself",
        ) from error
    return path
