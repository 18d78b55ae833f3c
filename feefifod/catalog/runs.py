"""Backfills in PostgreSQL: their runs and results, what they learned of the markets, and whose turn a schedule is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from feefifod.catalog.lease import LeaseLost
from feefifod.catalog.owner import is_dead, this_owner
from feefifod.catalog.queries import load_queries
from feefifod.model import Source

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date, datetime

    from feefifod.catalog.database import Database

SCHEDULE_LEASE_SECONDS: Final = 60.0
"""How long a claimed schedule stays ours without renewal, on PostgreSQL's clock."""


class RunOutcome(StrEnum):
    """How a run ended. `stopped`: we were told to stop; `interrupted`: the process died."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class RunCounts:
    """What a run has done so far: assets, calls, and day candles."""

    assets: int = 0
    assets_failed: int = 0
    calls_planned: int = 0
    calls_done: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    no_trades: int = 0


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run, for people; `outcome` is None while it goes on."""

    id: int
    source: Source
    schedule: str
    due_at: datetime | None
    asked: Mapping[str, object]
    adjusted: bool
    started_at: datetime
    finished_at: datetime | None
    outcome: RunOutcome | None
    reason: str
    counts: RunCounts


@dataclass(frozen=True, slots=True)
class SplitBasis:
    """What is known of an asset's splits.

    Attributes:
        pulled_on: the stored candles may lack splits executed after this session.
        checked_on: splits up to this session were looked for.
    """

    pulled_on: date
    checked_on: date


@dataclass(frozen=True, slots=True)
class ScheduleClaim:
    """A schedule that is ours until its lease ends."""

    name: str
    fence: int


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """Instants up to `done_until` are worked off; `held` while somebody works."""

    done_until: datetime
    held: bool


class Runs:
    """The runs of backfills and their findings."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("runs")
        self.owner = str(this_owner())

    async def start(
        self, source: Source, asked: Mapping[str, object], *, adjusted: bool, schedule: str, due_at: datetime | None
    ) -> int:
        """Record that a run begins; runs of processes of this host that are gone are marked as interrupted."""
        owners = [row["owner"] for row in await self._database.fetch(self._sql["unfinished_owners"])]
        if dead := [owner for owner in owners if is_dead(owner)]:
            await self._database.execute(self._sql["interrupt_runs"], dead)
        run_id: int = await self._database.fetch_value(
            self._sql["start_run"], str(source), schedule, due_at, json.dumps(asked), adjusted, self.owner
        )
        return run_id

    async def report(self, run_id: int, counts: RunCounts) -> None:
        """Record how far a run is."""
        await self._database.execute(
            self._sql["report_run"],
            run_id,
            counts.assets,
            counts.assets_failed,
            counts.calls_planned,
            counts.calls_done,
            counts.created,
            counts.updated,
            counts.unchanged,
            counts.no_trades,
        )

    async def finish(self, run_id: int, outcome: RunOutcome, reason: str) -> None:
        """Record how a run ended."""
        await self._database.execute(self._sql["finish_run"], run_id, str(outcome), reason)

    async def last_runs(self, schedules: Collection[str]) -> dict[str, RunRecord]:
        """Return the newest run of each schedule that has one."""
        rows = await self._database.fetch(self._sql["last_runs"], list(schedules))
        return {row["schedule"]: _record(row) for row in rows}

    async def record_no_trades(self, source: Source, found: Sequence[tuple[int, str, date]]) -> None:
        """Remember sessions without a candle: asset id, the vendor's symbol, session."""
        if found:
            assets, symbols, sessions = zip(*found, strict=True)
            await self._database.execute(self._sql["record_no_trades"], str(source), assets, symbols, sessions)

    async def read_no_trades(
        self, source: Source, asset_ids: Collection[int], start: date, end: date
    ) -> set[tuple[int, str, date]]:
        """Return what is remembered of these assets from `start` to `end`, both included."""
        rows = await self._database.fetch(self._sql["read_no_trades"], str(source), list(asset_ids), start, end)
        return {(row["asset_id"], row["symbol"], row["session"]) for row in rows}

    async def begin_basis(self, source: Source, asset_ids: Collection[int], session: date) -> None:
        """Remember, for assets that are new here, up to which session splits are worked into their candles."""
        await self._database.execute(self._sql["begin_basis"], str(source), list(asset_ids), session)

    async def read_bases(self, source: Source, asset_ids: Collection[int]) -> dict[int, SplitBasis]:
        """Return what is known of the splits of these assets."""
        rows = await self._database.fetch(self._sql["read_bases"], str(source), list(asset_ids))
        return {row["asset_id"]: SplitBasis(row["pulled_on"], row["checked_on"]) for row in rows}

    async def move_basis(self, source: Source, asset_ids: Collection[int], session: date) -> None:
        """Remember that all candles of these assets were pulled again, splits up to `session` included."""
        await self._database.execute(self._sql["move_basis"], str(source), list(asset_ids), session)

    async def check_basis(self, source: Source, asset_ids: Collection[int], session: date) -> None:
        """Remember that splits up to `session` were looked for and these assets had none."""
        await self._database.execute(self._sql["check_basis"], str(source), list(asset_ids), session)


class ScheduleClaims:
    """Whose turn a schedule is: one process at a time, and once for every instant."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("runs")
        self.owner = str(this_owner())

    async def know(self, name: str) -> ScheduleState:
        """Return the state of a schedule; one that was never seen counts from now on."""
        await self._database.execute(self._sql["know_schedule"], name)
        return (await self.read([name]))[name]

    async def read(self, names: Collection[str]) -> dict[str, ScheduleState]:
        """Return the states of those schedules that were seen before."""
        rows = await self._database.fetch(self._sql["read_schedules"], list(names))
        # A holder of this host that died is seen at once, without waiting for the lease to end.
        return {
            row["name"]: ScheduleState(row["done_until"], row["held"] and not is_dead(row["owner"])) for row in rows
        }

    async def claim(self, name: str, due: datetime | None) -> ScheduleClaim | None:
        """Take a schedule for an instant, or for no particular one; None when it is taken, or that one worked off."""
        rows = await self._database.fetch(self._sql["read_schedules"], [name])
        for row in rows:
            if row["owner"] is not None and is_dead(row["owner"]):
                await self._database.execute(self._sql["free_schedule"], name, row["owner"])
        lease = timedelta(seconds=SCHEDULE_LEASE_SECONDS)
        fence = await self._database.fetch_value(self._sql["claim_schedule"], name, due, self.owner, lease)
        return None if fence is None else ScheduleClaim(name, fence)

    async def renew(self, claim: ScheduleClaim) -> None:
        """Hold a schedule for another lease time.

        Raises:
            LeaseLost: another process has it now.
        """
        lease = timedelta(seconds=SCHEDULE_LEASE_SECONDS)
        if not await self._database.execute(self._sql["renew_schedule"], claim.name, claim.fence, lease):
            raise LeaseLost(
                f"another process has taken over the schedule {claim.name}", remedy="Nothing to do: it goes on with it"
            )

    async def release(self, claim: ScheduleClaim, done_until: datetime | None) -> None:
        """Let a schedule go; with an instant, everything up to it is worked off."""
        await self._database.execute(self._sql["release_schedule"], claim.name, claim.fence, done_until)


def _record(row: Any) -> RunRecord:
    return RunRecord(
        id=row["id"],
        source=Source(row["source"]),
        schedule=row["schedule"],
        due_at=row["due_at"],
        asked=json.loads(row["asked"]),
        adjusted=row["adjusted"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        outcome=RunOutcome(row["outcome"]) if row["outcome"] else None,
        reason=row["reason"],
        counts=RunCounts(
            row["assets"],
            row["assets_failed"],
            row["calls_planned"],
            row["calls_done"],
            row["created"],
            row["updated"],
            row["unchanged"],
            row["no_trades"],
        ),
    )
