"""Putting one irregular file of a claim in order, its bad rows collected beside."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from feefifod.archive import RejectedRows
from feefifod.discover import open_drop
from feefifod.errors import Unavailable
from feefifod.ingest.finish import rows_path
from feefifod.sweep import order_file

if TYPE_CHECKING:
    from pathlib import Path

    from feefifod.catalog import ClaimedFile
    from feefifod.ingest.tools import Tools
    from feefifod.sweep import Ordered

_DAY_SECONDS: Final = 86_400


def order_one(tools: Tools, file: ClaimedFile, scratch: Path) -> Ordered:
    """Sort a file's good rows into scratch files. Blocking; meant for a worker thread.

    Raises:
        BadInput: it is not text at all, or its header cannot be understood.
        FileNotFoundError: it is gone or has changed. OSError: it cannot be read.
        Unavailable: scratch space cannot be written.
    """
    try:
        scratch.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"scratch space cannot be written: {error.strerror}",
            where=str(scratch.parent),
            remedy="Free some space there, or let feefifod write; it goes on by itself",
        ) from error
    with ExitStack() as stack:
        fd = open_drop(os.fsdecode(file.path), file.stamp)
        stack.callback(os.close, fd)
        rejected = stack.enter_context(RejectedRows(rows_path(tools, file.id)))
        return order_file(
            fd,
            interval_minutes=file.series.interval_minutes,
            latest_seconds=latest_seconds(time.time()),
            scratch=scratch / str(file.id),
            chunk_rows=tools.pipeline.window_rows,
            on_rejects=rejected.add,
            series=file.series,
        )


def latest_seconds(now_seconds: float) -> int:
    """Return the last instant that a candle may start at: the end of tomorrow (UTC)."""
    return (int(now_seconds) // _DAY_SECONDS + 2) * _DAY_SECONDS - 1
