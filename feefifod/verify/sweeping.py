"""What the files say: swept in the order of time, as when they were loaded, under the rule of precedence."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from feefifod.discover import open_drop
from feefifod.errors import BadInput, FeefifodError, Unavailable
from feefifod.model import Frame
from feefifod.sweep import FileChanged, Slab, Sweep, order_file
from feefifod.sweep.merge import merge_parts
from feefifod.verify.kit import bare_errors
from feefifod.verify.overwritten import drop_overwritten

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from anyio.streams.memory import MemoryObjectReceiveStream

    from feefifod.parse.rows import Reject
    from feefifod.sweep.read import Part
    from feefifod.verify.archived import Archived
    from feefifod.verify.groups import Place
    from feefifod.verify.kit import Kit

_DAY_SECONDS: Final = 86_400

Take = Callable[[Frame], Awaitable[None]]
"""Receives the rows that won, each key once; windows come in the order of time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the archive, and the asset that it belongs to."""

    archived: Archived
    asset_id: int
    place: Place


@dataclass(frozen=True, slots=True)
class Span:
    """Unix seconds; None is without an end. The start is included, the end is not."""

    start_seconds: int | None = None
    until_seconds: int | None = None

    def touches(self, first_seconds: int, last_seconds: int) -> bool:
        """Tell whether anything from the first to the last instant lies in it."""
        return (self.start_seconds is None or last_seconds >= self.start_seconds) and (
            self.until_seconds is None or first_seconds < self.until_seconds
        )


async def sweep_archive(kit: Kit, entries: Sequence[Entry], span: Span, take: Take) -> dict[int, FeefifodError]:
    """Hand the rows of these files over.

    Returns:
        Files (by id) that cannot take part as they are: `Irregular` ones have to be put in order first. When there
        are any, the sweep has ended early and what was handed over is void.
    """
    wanted = [e for e in entries if span.touches(e.archived.file.first_seconds, e.archived.file.last_seconds)]
    if not wanted:
        return {}
    async with kit.lend_scratch() as scratch:
        ordered, refused = await _order(kit, [e for e in wanted if e.archived.irregular], scratch)
        if refused:
            return refused
        with bare_errors():
            return await _sweep(kit, wanted, ordered, span, take)


async def _sweep(
    kit: Kit, entries: Sequence[Entry], ordered: Mapping[int, Sequence[Path]], span: Span, take: Take
) -> dict[int, FeefifodError]:
    sweep = Sweep(
        [entry.archived.to_sweep(entry.asset_id, entry.place.order) for entry in entries],
        ordered,
        span.start_seconds,
        kit.pipeline.window_rows,
        kit.pipeline.window_bytes,
        kit.reading,
        keep_open=kit.open_files,
        until_seconds=span.until_seconds,
    )
    eras = {entry.archived.file.id: entry.place.era for entry in entries}
    overwriting = frozenset(entry.archived.file.id for entry in entries if entry.archived.file.overwrite)
    merge = partial(_merge, eras=eras, overwriting=overwriting)
    try:
        refused = {file.id: error for file, error in await sweep.open()}
        if refused:
            return refused
        slabs, inbox = anyio.create_memory_object_stream[Slab](0)
        async with anyio.create_task_group() as stages:
            stages.start_soon(sweep.read, slabs, name="read")
            refused = await _take_all(kit, inbox, merge, take)
    finally:
        sweep.close()
    return refused


async def _take_all(
    kit: Kit, inbox: MemoryObjectReceiveStream[Slab], merge: Callable[[Sequence[Part]], Frame | None], take: Take
) -> dict[int, FeefifodError]:
    async with inbox:
        async for slab in inbox:
            if slab.withdrawn:
                return {file.id: error for file, error in slab.withdrawn}
            frame = await to_thread.run_sync(merge, slab.parts, limiter=kit.reading)
            if frame is not None:
                await take(frame)
    return {}


def _merge(parts: Sequence[Part], eras: Mapping[int, int], overwriting: Collection[int]) -> Frame | None:
    frame, _ = merge_parts(drop_overwritten(parts, eras, overwriting))
    return frame


async def _order(
    kit: Kit, entries: Sequence[Entry], scratch: Path
) -> tuple[dict[int, Sequence[Path]], dict[int, FeefifodError]]:
    """Put irregular files in order, as they were when they were loaded."""
    ordered: dict[int, Sequence[Path]] = {}
    refused: dict[int, FeefifodError] = {}
    if entries:
        await to_thread.run_sync(partial(scratch.mkdir, parents=True, exist_ok=True))
    for entry in entries:
        file_id = entry.archived.file.id
        try:
            paths = await to_thread.run_sync(
                _order_one, entry.archived, scratch / str(file_id), kit.pipeline.window_rows, limiter=kit.reading
            )
        except (BadInput, Unavailable) as error:
            refused[file_id] = error
        except OSError as error:
            refused[file_id] = FileChanged(f"it cannot be read: {error.strerror or error}")
        else:
            ordered[file_id] = paths
    return ordered, refused


def _order_one(archived: Archived, scratch: Path, chunk_rows: int) -> Sequence[Path]:
    fd = open_drop(archived.path, archived.stamp)
    try:
        ordered = order_file(
            fd,
            interval_minutes=archived.file.series.interval_minutes,
            latest_seconds=latest_seconds(archived.file.loaded_at),
            scratch=scratch,
            chunk_rows=chunk_rows,
            on_rejects=_forget,
            series=archived.file.series,
        )
    finally:
        os.close(fd)
    if not ordered.rows:
        raise BadInput("none of its rows is good")
    return ordered.paths


def _forget(rejects: list[Reject]) -> None:
    """Bad rows were set aside when the file was loaded."""


def latest_seconds(loaded_at: datetime) -> int:
    """Return the last instant that a candle could start at when a file was loaded: the end of the day after (UTC)."""
    return (int(loaded_at.timestamp()) // _DAY_SECONDS + 2) * _DAY_SECONDS - 1
