"""One-shot ingestion: everything that is complete now, then an end."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import anyio
import structlog
from anyio import to_thread

from feefifod.discover import scan
from feefifod.errors import FeefifodError, Refused
from feefifod.ingest.candidates import show_name
from feefifod.ingest.finish import NotMoved
from feefifod.ingest.ignored import Ignored, count_ignored
from feefifod.ingest.ingestor import Ingestor
from feefifod.ingest.load import Stopped
from feefifod.ingest.report import FileResult, Summary
from feefifod.model import FileState

if TYPE_CHECKING:
    from feefifod.ingest.candidates import Selection
    from feefifod.ingest.report import Listener
    from feefifod.ingest.tools import Tools

_ROUNDS_WITHOUT_PROGRESS: Final = 3
_SLACK_SECONDS: Final = 1.0


@dataclass(slots=True)
class Recorder:
    """Keeps all results and passes everything on to another listener."""

    listener: Listener
    summary: Summary = field(default_factory=Summary)

    def batch_started(self, files: int, size_bytes: int, lane: str) -> None:
        """Pass it on."""
        self.listener.batch_started(files, size_bytes, lane)

    def window_sent(self, rows: int, size_bytes: int) -> None:
        """Pass it on."""
        self.listener.window_sent(rows, size_bytes)

    def file_finished(self, result: FileResult) -> None:
        """Keep it and pass it on."""
        earlier = self.summary.stuck.pop(result.path, None)
        self.summary.results.append(replace(result, loaded_now=True) if earlier and earlier.loaded_now else result)
        self.listener.file_finished(result)

    def file_stuck(self, result: FileResult) -> None:
        """Keep it, as it was found first, and pass it on."""
        self.summary.stuck.setdefault(result.path, result)
        self.listener.file_stuck(result)

    def trouble(self, error: FeefifodError, attempt: int) -> None:
        """Pass it on."""
        self.listener.trouble(error, attempt)


async def look_once(ingestor: Ingestor) -> Selection:
    """Look until nothing is left that would be complete after the settle time alone."""
    settle = ingestor.tools.watch.settle_seconds
    deadline = time.monotonic() + 2 * settle + _SLACK_SECONDS
    while True:
        selection = await ingestor.look()
        soon = [s.wait_seconds for _, s in selection.waiting if s.wait_seconds <= settle]
        if not soon or time.monotonic() > deadline or ingestor.tools.stop.is_set():
            return selection
        await anyio.sleep(min(soon) + 0.02)


async def ingest_once(tools: Tools) -> Summary:
    """Ingest everything that is complete, batch by batch, until nothing complete is left.

    A batch that cannot be finished is tried again a few times; what remains is named in the summary.
    """
    recorder = Recorder(tools.listener)
    summary = recorder.summary
    ingestor = Ingestor(replace(tools, listener=recorder))
    left = _JUST_NOW
    idle = 0
    while idle < _ROUNDS_WITHOUT_PROGRESS and not tools.stop.is_set():
        done = len(summary.results) + len(summary.stuck)
        try:
            if not await _run_round(ingestor):
                left = _JUST_NOW
                break
            left = _ELSEWHERE
        except Stopped:
            break
        except FeefifodError as error:
            left = str(error)
            structlog.get_logger().warning("batch_not_finished", reason=left)
            if isinstance(error, Refused):
                break
        idle = 0 if len(summary.results) + len(summary.stuck) > done else idle + 1
        if idle:
            await anyio.sleep(min(0.3 * 2**idle, 3.0))
    if left not in (_JUST_NOW, _ELSEWHERE):
        summary.troubles.append(left)
    elif tools.stop.is_set():
        left = "stopped before it was finished; the next start goes on with it"
    await _add_left_over(ingestor, summary, left)
    return summary


_JUST_NOW: Final = "it became complete a moment ago"
_ELSEWHERE: Final = "another feefifod process is loading it, or another file of its series"


async def _run_round(ingestor: Ingestor) -> bool:
    """Ingest one batch of what is complete now, members of zips with it; False when nothing is."""
    selection = await look_once(ingestor)
    not_moved = await _refuse(ingestor, selection)
    await ingestor.forget_missing(selection)
    moved_on = [await ingestor.advance(zip_) for zip_ in ingestor.zips.find_due(selection)]
    if any(moved_on):
        selection = await ingestor.look()
        not_moved = await _refuse(ingestor, selection) or not_moved
    if selection.drops:
        claim = await ingestor.claim(selection.drops)
        if claim is not None:
            await ingestor.run_batch(claim)
    if not_moved is not None:
        raise not_moved
    return bool(selection.drops) or any(moved_on)


async def _refuse(ingestor: Ingestor, selection: Selection) -> NotMoved | None:
    """Put away what can be; what cannot is said when everything else is done."""
    try:
        await ingestor.refuse(selection)
    except NotMoved as error:
        return error
    return None


async def _add_left_over(ingestor: Ingestor, summary: Summary, reason: str) -> None:
    """Name what is left in the data folder, and why."""
    selection = await ingestor.look()
    for drop in selection.drops:
        if drop.path in summary.stuck:
            continue
        summary.results.append(FileResult(drop.name, FileState.WAITING, reason=reason))
    for found, settlement in selection.waiting:
        name = show_name(found.path)
        summary.results.append(FileResult(name, FileState.WAITING, reason=settlement.reason))
        if settlement.trouble:
            summary.troubles.append(f"{name}: {settlement.reason}")
    for found in selection.zips:
        if os.fsencode(found.path) in summary.stuck:
            continue
        note = ingestor.zips.notes.get(os.fsencode(found.path), reason)
        summary.results.append(FileResult(show_name(found.path), FileState.WAITING, reason=note))
    summary.troubles += ingestor.zips.troubles.values()
    summary.closed = dict(ingestor.closed.folders)
    summary.ignored = await to_thread.run_sync(_count_ignored, ingestor.tools)


def _count_ignored(tools: Tools) -> list[Ignored]:
    folder = str(tools.paths.data)
    return count_ignored(scan(folder), folder, tools.watch, tools.tiers)
