"""Self-repair: what came in shortly before QuestDB was restarted or fell back is proven again, and mended.

QuestDB acknowledges before the disk has the rows, so a power cut can take the last ones away, and a restored backup
takes away whatever came after it. The archive still has them.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import structlog

from feefifod.errors import FeefifodError, Unavailable
from feefifod.sink import read_identity, read_progress, resume_if_short
from feefifod.verify import Kind, verify_recent

if TYPE_CHECKING:
    from feefifod.catalog import Marks
    from feefifod.daemon.metrics import Metrics
    from feefifod.sink import Progress
    from feefifod.verify import Difference, Kit, Report

RECENT_MINUTES: Final = 10.0
"""What was loaded so long before QuestDB was last seen well is on its disk: systems write back within one minute."""

PATIENCE_SECONDS: Final = 60.0
"""How long a check waits for servers that are away, before it is left for later."""

_LOOK_SECONDS: Final = 2.0
_MARK_SECONDS: Final = 60.0
_AGAIN_SECONDS: Final = (5.0, 600.0)
_LATE_SECONDS: Final = 20.0
"""A request that nobody waits for any more has arrived by then, or never does."""

_LEAVE_SECONDS: Final = 2.0
_NOTHING_KNOWN: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Cause(StrEnum):
    """Why a check is due, the weakest reason first."""

    LEASE = "lease"
    """A batch was lost to another process: a request of ours may have come too late, over newer rows."""
    RESTART = "restart"
    """QuestDB has been started since it was last seen well, perhaps after a power cut."""
    FALLBACK = "fallback"
    """The table has fewer transactions than it had: an older copy was put in its place."""


@dataclass(slots=True)
class Mender:
    """Watches QuestDB, and repairs the table after an accident; ingestion goes on beside it.

    While a check is due, the table's mark stays where it was: a check that is cut off is made by the next start.
    """

    kit: Kit
    marks: Marks
    metrics: Metrics
    _due: Cause | None = None
    _again_at: float = 0.0
    _pause_seconds: float = _AGAIN_SECONDS[0]
    _marked_at: float = -math.inf
    _table_id: str = ""
    _seen: Progress | None = None
    _late: set[int] = field(default_factory=set)
    _doubted: set[int] = field(default_factory=set)
    _checked: bool = False
    _rows_repaired: int = 0

    async def run(self) -> None:
        """Look every so often, until cancelled. Whatever goes wrong with it must not disturb ingestion."""
        while True:
            try:
                await self._look()
            except FeefifodError as error:
                self._postpone(error.why)
            except Exception:
                structlog.get_logger().exception("repair_failed")
                self._postpone("it failed in a way that nobody foresaw")
            await anyio.sleep(_LOOK_SECONDS)

    def suspect_batch(self, batch_id: int) -> None:
        """Have what came in since a batch began checked: its lease was lost."""
        self._late.add(batch_id)
        self._suspect(Cause.LEASE)
        self._again_at = max(self._again_at, time.monotonic() + _LATE_SECONDS)

    async def leave(self) -> None:
        """Record the doubts that nobody will look after in this process any more, for the next one."""
        with anyio.move_on_after(_LEAVE_SECONDS), suppress(FeefifodError):
            await self._doubt(self._late - self._doubted)

    def _suspect(self, cause: Cause) -> None:
        """Make a check due, at once where it was not."""
        causes = list(Cause)
        if self._due is None or causes.index(cause) > causes.index(self._due):
            self._due, self._again_at, self._pause_seconds = cause, 0.0, _AGAIN_SECONDS[0]

    async def _look(self) -> None:
        try:
            progress = await read_progress(self.kit.client, self.kit.questdb.table)
        except Unavailable:
            return  # Whether it was started anew is seen when it is back.
        # Without a table of feefifod's nothing can be missing; the next batch makes it.
        if progress is None or not await self._judge(progress):
            return
        if progress.suspended:
            # Also when nothing of ours is on its way.
            table = self.kit.questdb.table
            await resume_if_short(self.kit.client, table, progress.error_tag, progress.error_message)
        await self._doubt(self._late - self._doubted)  # At once: this process may end before it can check.
        if self._due is not None:
            if time.monotonic() >= self._again_at:
                await self._check(self._due, progress)
        elif time.monotonic() - self._marked_at > _MARK_SECONDS:
            if await self.marks.see_well(
                self._table_id, progress.started_us, progress.sequenced, checked=self._checked
            ):
                self._marked_at, self._checked = time.monotonic(), False
            else:
                self._suspect(Cause.LEASE)  # Another process had doubts; it may be gone.

    async def _judge(self, progress: Progress) -> bool:
        """Find out what has happened since the last look; False when the table is not feefifod's (yet)."""
        seen = self._seen
        if seen is None or (seen.table, seen.started_us) != (progress.table, progress.started_us):
            identity = await self.kit.patiently(partial(read_identity, self.kit.client, self.kit.questdb.table))
            if identity is None:
                return False
            mark = await self.marks.begin(str(identity))
            if mark.started_us != progress.started_us:
                self._suspect(Cause.RESTART)
            known = mark.sequenced
            if seen is not None and str(identity) == self._table_id:
                known = max(known, seen.sequenced)
            self._table_id = str(identity)
        else:
            known = seen.sequenced
        if progress.sequenced < known:
            structlog.get_logger().warning("fell_back", transactions=progress.sequenced, before=known)
            self._suspect(Cause.FALLBACK)
            await self.marks.distrust(self._table_id, progress.sequenced)
        self._seen = progress
        return True

    async def _check(self, cause: Cause, progress: Progress) -> None:
        log = structlog.get_logger().bind(cause=str(cause))
        late = set(self._late)
        await self._doubt(late)
        well_at = (await self.marks.begin(self._table_id)).well_at
        started = time.monotonic()
        log.debug("repair_check_started", well_at=well_at.isoformat(timespec="seconds"))
        since = well_at - timedelta(minutes=RECENT_MINUTES)
        report = await verify_recent(self.kit, since, repair=False)
        if report.differences:
            if well_at > _NOTHING_KNOWN and any(map(_is_loss, report.differences)):
                # Where new rows were lost, older ones of the same partitions may be, too. Recorded before anything is
                # repaired: to a check that begins anew after a crash, the new rows would be no loss any more.
                await self.marks.distrust(self._table_id, progress.sequenced)
                log.warning("repair_widened", differences=len(report.differences))
                since = _NOTHING_KNOWN
            report = await verify_recent(self.kit, since)
            self._count(report)
        outcome = {
            "cause": str(cause),
            "series": report.series,
            "files": report.files,
            "rows": report.rows,
            "rows_repaired": self._rows_repaired,
            "differences": len(report.differences),
            "postponed_series": len(report.skipped),
            "seconds": round(time.monotonic() - started, 3),
        }
        await self.marks.record(self._table_id, outcome)
        if report.skipped:
            self._postpone(f"{len(report.skipped)} series are being loaded")
            return
        self._late -= late
        self._doubted -= late
        self._checked = True
        self._finish(cause, outcome, report.differences)

    async def _doubt(self, late: set[int]) -> None:
        for batch_id in late:
            await self.marks.doubt(self._table_id, batch_id)
            self._doubted.add(batch_id)

    def _count(self, report: Report) -> None:
        for difference in report.repaired:
            structlog.get_logger().debug(
                "repaired",
                where=_place(difference),
                month=difference.month,
                reason=difference.reason,
                examples=difference.rows.examples if difference.rows else (),
            )
        rows = sum(map(_count_rows, report.repaired))
        self._rows_repaired += rows
        self.metrics.repaired(rows)

    def _finish(self, cause: Cause, outcome: dict[str, Any], differences: list[Difference]) -> None:
        log = structlog.get_logger()
        log.info("repair_checked", **outcome)
        if differences:
            first = differences[0]
            log.error(
                "repair_incomplete",
                differences=len(differences),
                reason=first.reason,
                where=_place(first),
                remedy="See all of them with: feefifod verify",
            )
        self.metrics.checked(cause, len(differences))
        self._due = Cause.LEASE if self._late else None
        self._rows_repaired = 0
        self._marked_at, self._pause_seconds = -math.inf, _AGAIN_SECONDS[0]

    def _postpone(self, reason: str) -> None:
        """Leave what is due for later; longer each time."""
        if self._due is not None:
            structlog.get_logger().info("repair_postponed", reason=reason, again_in_seconds=self._pause_seconds)
            self._again_at = time.monotonic() + self._pause_seconds
            self._pause_seconds = min(2 * self._pause_seconds, _AGAIN_SECONDS[1])


def _place(difference: Difference) -> str:
    return f"{difference.series.ticker} in {difference.series.quote}, {difference.series.interval_minutes} minutes"


def _is_loss(difference: Difference) -> bool:
    return difference.kind is Kind.ROWS and (difference.rows is None or difference.rows.missing > 0)


def _count_rows(difference: Difference) -> int:
    if difference.rows is not None:
        return difference.rows.missing + difference.rows.changed
    return difference.expected.rows if difference.expected is not None else 0
