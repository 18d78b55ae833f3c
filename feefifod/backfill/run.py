"""A backfill from request to report."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import structlog

from feefifod.backfill.fetch import Fetched, Fetcher
from feefifod.backfill.outline import make_outline
from feefifod.backfill.report import Report, SilentListener
from feefifod.backfill.splits import Splits
from feefifod.backfill.store import Store
from feefifod.catalog import RunOutcome
from feefifod.errors import FeefifodError
from feefifod.repartition import provide_table
from feefifod.sink import read_identity
from feefifod.sources.massive import Massive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from anyio.streams.memory import MemoryObjectReceiveStream

    from feefifod.backfill.outline import Call
    from feefifod.backfill.report import Listener
    from feefifod.backfill.request import Request
    from feefifod.backfill.tools import Tools
    from feefifod.sink import TableIdentity

_READY_ANSWERS: Final = 32
"""Answers that wait for the table; with a fast API a batch gathers behind the one that is being stored."""

_UNFORESEEN: Final = "it failed in a way that was not foreseen; see the log"
_LAST_WORDS_SECONDS: Final = 3.0
_MOST_LOGGED: Final = 20


async def run_backfill(
    tools: Tools,
    request: Request,
    listener: Listener | None = None,
    *,
    dry_run: bool = False,
    schedule: str = "",
    due_at: datetime | None = None,
) -> Report:
    """Fetch and store what is missing, and record the run. A dry run fetches, and writes nothing.

    Args:
        schedule, due_at: the schedule that asks for it, and for which instant.

    Raises:
        ConfigError: no key, or an ambiguous ticker.
        Refused: no such asset, out of reach as a whole, or a server says no or is away for too long.
    """
    listener = listener or SilentListener()
    report = Report()
    if dry_run:
        await _work(tools, request, listener, report, None)
        return report
    run_id = await tools.patiently(
        lambda: tools.runs.start(request.source, request.describe(), adjusted=True, schedule=schedule, due_at=due_at)
    )
    log = structlog.get_logger().bind(source=str(request.source), schedule=schedule or None)
    try:
        await _work(tools, request, listener, report, run_id)
    except BaseException as error:
        # Also when we are told to stop: the next start goes on, and people see why this one ended.
        stopped = not isinstance(error, Exception)
        outcome = RunOutcome.STOPPED if stopped else RunOutcome.FAILED
        reason = "told to stop; the next run goes on" if stopped else str(error) or _UNFORESEEN
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _LAST_WORDS_SECONDS):
            try:
                await tools.runs.report(run_id, report.counts())
                await tools.runs.finish(run_id, outcome, reason)
            except FeefifodError as trouble:
                log.warning("backfill_not_recorded", reason=trouble.why)
        raise
    await tools.patiently(partial(tools.runs.report, run_id, report.counts()))
    outcome = RunOutcome.FAILED if report.failed else RunOutcome.DONE
    await tools.patiently(partial(tools.runs.finish, run_id, outcome, report.summarize()))
    for result in report.failures[:_MOST_LOGGED]:
        log.warning("backfill_asset_failed", ticker=result.asset.ticker, reasons=result.reasons[:3])
    counts = report.counts()
    log.info(
        "backfill_finished",
        outcome=str(outcome),
        assets=counts.assets,
        failed=counts.assets_failed,
        calls=counts.calls_done,
        created=counts.created,
        updated=counts.updated,
        unchanged=counts.unchanged,
        reason=report.summarize() or None,
    )
    return report


async def _work(tools: Tools, request: Request, listener: Listener, report: Report, run_id: int | None) -> None:
    api = tools.open_api(request.source)
    identity: TableIdentity | None
    if run_id is None:
        identity = await tools.patiently(partial(read_identity, tools.client, tools.questdb.table))
    else:
        identity = await tools.patiently(partial(provide_table, tools.client, tools.questdb, tools.copies))
    outline = await make_outline(tools, request, report, has_table=identity is not None)
    report.calls_planned = len(outline.calls)
    structlog.get_logger().info(
        "backfill_planned",
        source=str(request.source),
        assets=len(outline.targets),
        missing=outline.missing,
        calls=len(outline.calls),
        seconds=round(outline.seconds),
        too_old=outline.explain_limit() or None,
    )
    listener.planned(outline)
    async with api:
        fetcher = Fetcher(tools, outline, report, api)
        store = Store(tools, outline, report, run_id, identity)
        await _make_calls(outline.calls, fetcher, store, report, listener)
        if isinstance(api, Massive) and run_id is not None and not report.stopped:
            splits = Splits(tools, outline, report, listener)
            again = await splits.find(api)
            if again:
                report.calls_planned += len(again)
                await _make_calls(again, fetcher, store, report, listener)
                await splits.finish(again)


async def _make_calls(
    calls: Sequence[Call], fetcher: Fetcher, store: Store, report: Report, listener: Listener
) -> None:
    """Fetch call by call; what came is stored meanwhile, as much at a time as there is."""
    sender, receiver = anyio.create_memory_object_stream[Fetched](_READY_ANSWERS)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_store_all, receiver, store, name="store candles")
            async with sender:
                for call in calls:
                    fetched = await fetcher.fetch(call)
                    report.calls_done += 1
                    listener.called(report.calls_done, report.calls_planned)
                    if fetched is not None:
                        try:
                            await sender.send(fetched)
                        except anyio.BrokenResourceError:
                            return  # Storing failed; its own error is the one to report.
    except BaseExceptionGroup as group:
        # One of the two failed and took the other with it; callers expect its error bare.
        raise _first(group) from None


async def _store_all(receiver: MemoryObjectReceiveStream[Fetched], store: Store) -> None:
    async with receiver:
        async for fetched in receiver:
            batch = [fetched]
            while receiver.statistics().current_buffer_used:
                batch.append(receiver.receive_nowait())
            await store.take(batch)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
