"""Scheduled backfills: each at its time, never twice at once, caught up once after a pause.

Whose turn it is stands in PostgreSQL, with a lease on its clock, so that any number of daemons may share schedules.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import structlog

from feefifod.backfill.report import SilentListener
from feefifod.backfill.request import request_of
from feefifod.backfill.run import run_backfill
from feefifod.catalog import SCHEDULE_LEASE_SECONDS, LeaseLost, Runs, ScheduleClaims
from feefifod.errors import ConfigError, FeefifodError, Unavailable
from feefifod.lasting import tell_end, tell_fault
from feefifod.pulse import working
from feefifod.schedule.cron import parse_cron, spread

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from feefifod.backfill.report import Listener, Report
    from feefifod.backfill.tools import Tools
    from feefifod.catalog import Database, RunRecord, ScheduleClaim
    from feefifod.config import ScheduleSettings
    from feefifod.schedule.cron import Cron

_LONGEST_SLEEP: Final = 60.0
"""The clock may be set, and the machine may sleep: look at it at least this often."""

_BUSY_SECONDS: Final = 15.0
"""Another process works on it; if that one dies, we go on."""

_TROUBLE_SECONDS: Final = 30.0
_RELEASE_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class ScheduleRun:
    """What became of a schedule that was to run now.

    Attributes:
        report: None when the run could not be carried out at all.
        reason: why it failed; empty when it did not.
        busy: another process is running it; nothing was done here.
    """

    name: str
    report: Report | None
    reason: str
    busy: bool = False

    @property
    def failed(self) -> bool:
        """Whether it failed."""
        return bool(self.reason)


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """A schedule, for people.

    Attributes:
        last: its newest run, which may still go on; None when it never ran.
        running: whether a living process is at it.
        next_at: when it is due next, jitter included; in the past when it is overdue.
    """

    schedule: ScheduleSettings
    last: RunRecord | None
    running: bool
    next_at: datetime


async def run_schedules(tools: Tools, schedules: Sequence[ScheduleSettings]) -> None:
    """Run every schedule when it is due, until cancelled. Whatever goes wrong is logged and recorded, never raised."""
    async with anyio.create_task_group() as tasks:
        for schedule in schedules:
            tasks.start_soon(_keep, tools, schedule, name=f"schedule {schedule.name}")


async def run_due(
    tools: Tools, schedules: Sequence[ScheduleSettings], listener: Listener | None = None
) -> list[ScheduleRun]:
    """Run what is due now, one after the other, without waiting for jitter.

    Raises:
        Refused: PostgreSQL is away for too long.
    """
    done = []
    for schedule in schedules:
        due = _cron(schedule).due(
            (await tools.patiently(partial(tools.claims.know, schedule.name))).done_until, tools.now()
        )
        if due is not None:
            done.append(await _run(tools, schedule, due, listener, only_if_due=True))
    return [run for run in done if not run.busy]


async def run_named(
    tools: Tools, schedules: Sequence[ScheduleSettings], names: Collection[str], listener: Listener | None = None
) -> list[ScheduleRun]:
    """Run these schedules now, due or not, one after the other; what was due is worked off with it.

    Raises:
        ConfigError: there is no schedule of that name.
        Refused: PostgreSQL is away for too long.
    """
    chosen = pick_schedules(schedules, names)
    done = []
    for schedule in chosen:
        await tools.patiently(partial(tools.claims.know, schedule.name))
        due = _cron(schedule).previous(tools.now())
        done.append(await _run(tools, schedule, due, listener, only_if_due=False))
    return done


def pick_schedules(schedules: Sequence[ScheduleSettings], names: Collection[str]) -> list[ScheduleSettings]:
    """Return the schedules of these names.

    Raises:
        ConfigError: there is none of a name.
    """
    by_name = {schedule.name: schedule for schedule in schedules}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        known = ", ".join(by_name) or "none is configured"
        raise ConfigError(f"there is no schedule {unknown[0]!r}", remedy=f"Known: {known}")
    return [by_name[name] for name in dict.fromkeys(names)]


async def list_results(
    postgres: Database, schedules: Sequence[ScheduleSettings], now: datetime
) -> list[ScheduleStatus]:
    """Return every configured schedule with its newest run and its next instant.

    Raises:
        Unavailable, Refused: PostgreSQL is away, or says no.
    """
    names = [schedule.name for schedule in schedules]
    last = await Runs(postgres).last_runs(names)
    states = await ScheduleClaims(postgres).read(names)
    listed = []
    for schedule in schedules:
        cron, state = _cron(schedule), states.get(schedule.name)
        overdue = cron.due(state.done_until, now) if state else None
        next_at = _start_of(schedule, cron, overdue or cron.next(now))
        listed.append(ScheduleStatus(schedule, last.get(schedule.name), bool(state and state.held), next_at))
    return listed


async def _keep(tools: Tools, schedule: ScheduleSettings) -> None:
    log = structlog.get_logger().bind(schedule=schedule.name)
    cron = _cron(schedule)
    details: dict[str, Any] = {"schedule": schedule.name, "again_in_seconds": _TROUBLE_SECONDS}
    while True:
        try:
            pause = await _step(tools, schedule, cron)
            tell_end("schedule_waits", schedule.name)
            tell_end("schedule_trouble", schedule.name)
        except Unavailable as error:
            tell_fault("schedule_waits", schedule.name, error.why, where=error.where, **details)
            pause = _TROUBLE_SECONDS
        except FeefifodError as error:
            tell_fault("schedule_trouble", schedule.name, str(error), **details)
            pause = _TROUBLE_SECONDS
        except Exception:
            # Whatever a schedule does wrong must not disturb ingestion.
            log.exception("schedule_failed")
            pause = _TROUBLE_SECONDS
        await anyio.sleep(pause)


async def _step(tools: Tools, schedule: ScheduleSettings, cron: Cron) -> float:
    """Run the schedule if it is due; returns how long to sleep."""
    state = await tools.claims.know(schedule.name)
    now = tools.now()
    due = cron.due(state.done_until, now)
    start = _start_of(schedule, cron, due or cron.next(now))
    if due is None or start > now:
        return min(max((start - now).total_seconds(), 0.01), _LONGEST_SLEEP)
    run = await _run(tools, schedule, due, None, only_if_due=True)
    return _BUSY_SECONDS if run.busy else 0.0


async def _run(
    tools: Tools, schedule: ScheduleSettings, due: datetime | None, listener: Listener | None, *, only_if_due: bool
) -> ScheduleRun:
    claim = await tools.patiently(partial(tools.claims.claim, schedule.name, due if only_if_due else None))
    if claim is None:
        return ScheduleRun(schedule.name, None, "another process is running it", busy=True)
    log = structlog.get_logger().bind(schedule=schedule.name)
    log.info("schedule_started", due=due and due.isoformat())
    reports: list[Report] = []
    reason = ""
    finished = False
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_hold, tools.claims, claim, tasks.cancel_scope, name=f"lease of {schedule.name}")
            with working(f"schedule {schedule.name}"):
                reason = await _carry_out(tools, schedule, due, listener, reports)
            finished = True
            tasks.cancel_scope.cancel()
    finally:
        # When we are told to stop it stays due, and the next start goes on with it.
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _RELEASE_SECONDS):
            try:
                await tools.claims.release(claim, due if finished else None)
            except FeefifodError as error:
                log.warning("schedule_not_released", reason=error.why)
    if not finished:
        return ScheduleRun(schedule.name, None, "another process has taken it over", busy=True)
    return ScheduleRun(schedule.name, reports[0] if reports else None, reason)


async def _carry_out(
    tools: Tools, schedule: ScheduleSettings, due: datetime | None, listener: Listener | None, reports: list[Report]
) -> str:
    """Run the backfill; returns why it failed, or nothing."""
    log = structlog.get_logger().bind(schedule=schedule.name)
    try:
        report = await run_backfill(
            tools, request_of(schedule), listener or SilentListener(), schedule=schedule.name, due_at=due
        )
    except FeefifodError as error:
        log.warning("schedule_failed", reason=str(error))
        return str(error)
    except Exception as error:
        # Nobody foresaw it; the next instant tries again, and ingestion is not disturbed.
        log.exception("schedule_failed")
        return f"unexpected {type(error).__name__}; see the log"
    reports.append(report)
    return report.summarize()


async def _hold(claims: ScheduleClaims, claim: ScheduleClaim, scope: anyio.CancelScope) -> None:
    """Renew the lease; end the run when it is lost, or when it may be because PostgreSQL is away for too long."""
    held_until = time.monotonic() + SCHEDULE_LEASE_SECONDS * 0.9
    while True:
        await anyio.sleep(SCHEDULE_LEASE_SECONDS / 3)
        started = time.monotonic()
        try:
            await claims.renew(claim)
            held_until = started + SCHEDULE_LEASE_SECONDS * 0.9
        except LeaseLost as error:
            structlog.get_logger().warning("lease_lost", schedule=claim.name, reason=error.why)
            scope.cancel()
        except FeefifodError as error:
            structlog.get_logger().warning("lease_not_renewed", schedule=claim.name, reason=error.why)
            if time.monotonic() + SCHEDULE_LEASE_SECONDS / 3 > held_until:
                scope.cancel()


def _cron(schedule: ScheduleSettings) -> Cron:
    return parse_cron(schedule.cron, schedule.timezone)


def _start_of(schedule: ScheduleSettings, cron: Cron, instant: datetime) -> datetime:
    """Return when the run for an instant starts: jitter never reaches the next one, or it might never start."""
    room = (cron.next(instant) - instant).total_seconds() / 2
    return instant + timedelta(seconds=spread(schedule.name, instant, min(schedule.jitter_seconds, room)))
