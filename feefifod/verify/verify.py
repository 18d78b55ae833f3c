"""Verification: the ledger's claims are proven again, group by group, and repaired on request."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from feefifod.errors import Refused
from feefifod.parse.tiers import tier_of
from feefifod.repartition import use_table
from feefifod.sink import wait_applied
from feefifod.verify.check import Check
from feefifod.verify.groups import divide, end_month, make_members, start_month
from feefifod.verify.pruned import name_months
from feefifod.verify.repair import send_again
from feefifod.verify.report import Difference, Kind, Report, Skipped
from feefifod.verify.sweeping import Span
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence

    from feefifod.catalog.verification import DoneFile
    from feefifod.model import Series, Tier
    from feefifod.sink.checksums import Checksum
    from feefifod.verify.groups import Member
    from feefifod.verify.kit import Kit

_TRIES: Final = 4
"""How often a series is looked at while other files of it come in, and once after a repair."""


async def verify(
    kit: Kit, *, tiers: Collection[Tier] = (), intervals: Collection[int] = (), repair: bool = False
) -> Report:
    """Compare what the ledger says with what the table holds.

    Args:
        tiers, intervals: only series of these; empty takes all.
        repair: load what differs again from the archive.

    Raises:
        Refused: there is no table, or a server says no, or is away or the table suspended for too long.
    """

    def choose(member: Member) -> bool:
        return (not tiers or tier_of(member.series.ticker, kit.tiers) in tiers) and (
            not intervals or member.series.interval_minutes in intervals
        )

    async with hold_table(kit, "verification") as table_id:
        verification = await _prepare(kit, table_id, repair=repair)
        return await verification.run([member for member in verification.members.values() if choose(member)], Span())


async def verify_recent(kit: Kit, since: datetime, *, repair: bool = True) -> Report:
    """Compare, and by default repair, what files that were loaded since then have brought.

    For a QuestDB that was restarted or has fallen back: what it had acknowledged last may be lost, and the archive
    still has it. Series of these files are compared in the months that the files reach, other files of theirs
    included.

    Args:
        since: aware; on PostgreSQL's clock.

    Raises:
        Refused: as `verify`.
    """
    async with hold_table(kit, "self-repair") as table_id:
        return await _verify_recent(await _prepare(kit, table_id, repair=repair), since)


async def _verify_recent(verification: _Verification, since: datetime) -> Report:
    recent = [file for member in verification.members.values() for _, file in member.files if file.loaded_at >= since]
    if not recent:
        return verification.report
    series = {file.series for file in recent}
    span = Span(
        start_month(min(file.first_seconds for file in recent) * 1_000_000) // 1_000_000,
        end_month(max(file.last_seconds for file in recent) * 1_000_000) // 1_000_000,
    )
    members = [member for member in verification.members.values() if member.series in series]
    return await verification.run(members, span)


@asynccontextmanager
async def hold_table(kit: Kit, purpose: str) -> AsyncIterator[str]:
    """Keep the table from being replaced by a copy, and give its identity.

    Raises:
        Refused: there is no table, or it is being copied for too long.
    """
    table = kit.questdb.table
    async with use_table(kit.client, table, kit.copies, purpose, kit.patiently) as identity:
        if identity is None:
            raise await _explain_absence(kit)
        yield str(identity)


async def _explain_absence(kit: Kit) -> Refused:
    """Say whether a table is missing, or was never needed."""
    loaded = await kit.patiently(kit.claims.count_done)
    if not loaded:
        return Refused(
            "there is nothing to verify: no file was loaded yet, and there is no table",
            where=kit.questdb.table,
            remedy="The first file that is loaded makes it, or: feefifod setup-questdb-schema",
        )
    return Refused(
        f"there is no table of feefifod's, and the ledger knows {count_of(loaded, 'loaded file')}",
        where=kit.questdb.table,
        remedy="Was it dropped, or is this another server? Drop the files of ingested/ again to load them anew",
    )


async def _prepare(kit: Kit, table_id: str, *, repair: bool) -> _Verification:
    """Wait until the table is settled, and read what the ledger says of it."""
    table = kit.questdb.table
    await kit.patiently(partial(wait_applied, kit.client, table))
    verification = _Verification(kit, table_id, repair, Report(table))
    await verification.reread()
    return verification


@dataclass(frozen=True, slots=True)
class Proven:
    """A series of which the table holds exactly what the ledger says.

    Attributes:
        months: the fingerprint of each month that has rows, by its first instant in microseconds.
        blind: months of which nothing can be said any more, because files are pruned.
        unstable: months whose fingerprint could not stand for their rows.
    """

    member: Member
    months: Mapping[int, Checksum]
    blind: frozenset[int]
    unstable: frozenset[int]


async def verify_series(
    kit: Kit, table_id: str, wanted: Collection[Series], take: Callable[[Proven], Awaitable[None]]
) -> Report:
    """Compare some series of a table that the caller holds, and hand each one over that is proven.

    Raises:
        Refused: as `verify`.
    """
    verification = await _prepare(kit, table_id, repair=False)
    verification.take = take
    return await verification.run(
        [member for member in verification.members.values() if member.series in wanted], Span()
    )


@dataclass(slots=True)
class _Verification:
    """A verification at work.

    Attributes:
        members: all series that the ledger knows in this table. busy: series that are being loaded, with a file's name.
    """

    kit: Kit
    table_id: str
    repair: bool
    report: Report
    members: dict[Series, Member] = field(default_factory=dict)
    busy: Mapping[Series, str] = field(default_factory=dict)
    take: Callable[[Proven], Awaitable[None]] | None = None
    _proven: list[Proven] = field(default_factory=list)
    _sent: dict[Series, tuple[Member, list[Difference]]] = field(default_factory=dict)

    async def reread(self) -> None:
        """Read what the ledger says now. What is busy is read first: what ends in between is seen as done."""
        kit = self.kit
        self.busy = await kit.patiently(kit.claims.read_busy)
        files = await kit.patiently(partial(kit.claims.read_done, self.table_id))
        pruned = await kit.patiently(partial(kit.claims.read_pruned, self.table_id))
        assets = await kit.patiently(kit.assets.list)
        self.members = make_members(files, {(asset.ticker, asset.category): asset.id for asset in assets}, pruned)
        self._find_homeless(files)

    def _find_homeless(self, files: Sequence[DoneFile]) -> None:
        known = {difference.series for difference in self.report.differences}
        for file in files:
            if file.series not in self.members and file.series not in known:
                known.add(file.series)
                self._tell(
                    Difference(
                        Kind.LEDGER,
                        file.series,
                        "",
                        (file.name,),
                        f"there is no {file.series.category} asset {file.series.ticker} any more",
                        remedy="Create it again, or give the asset its category back",
                    )
                )

    def _tell(self, difference: Difference) -> None:
        self.report.differences.append(difference)
        self.kit.listener.differs(difference)

    async def run(self, members: Sequence[Member], span: Span) -> Report:
        """Compare these series, and repair them when that is wanted."""
        calm = [member for member in members if not self._skip_busy(member)]
        report = self.report
        report.series = len(calm)
        report.files = sum(len(member.files) for member in calm)
        report.rows = sum(member.rows for member in calm)
        self.kit.listener.planned(report.files, report.rows)
        for group in divide(calm):
            await self._compare(group, span)
            while self.take is not None and self._proven:
                await self.take(self._proven.pop())
            self.kit.listener.compared(sum(len(member.files) for member in group), 0)
        return report

    def _skip_busy(self, member: Member) -> bool:
        if member.series not in self.busy:
            return False
        reason = f"{self.busy[member.series]} is being loaded into it now; verify again later"
        self.report.skipped.append(Skipped(member.series, reason))
        return True

    async def _compare(self, group: Sequence[Member], span: Span) -> None:
        """Compare series until each is found equal or different while no other file of it came in."""
        for _ in range(_TRIES):
            async with self.kit.lend_scratch() as scratch:
                check = Check(self.kit, self.table_id, group, span, scratch)
                differences = await check.run()
                if differences or self._sent:
                    await self.reread()
                group = await self._judge(check, differences)
            if not group:
                return
        for member in group:
            self.report.skipped.append(Skipped(member.series, "files of it keep coming in; verify again later"))

    async def _judge(self, check: Check, differences: Sequence[Difference]) -> list[Member]:
        """Report what is certain; returns the series to look at again."""
        again: list[Member] = []
        repairs: list[tuple[Member, list[Difference]]] = []
        for member in check.members:
            its = [difference for difference in differences if difference.series == member.series]
            if not its:
                self._settle(member, its)
                self._tell_proven(check, member)
            elif self._skip_busy(member):
                self._sent.pop(member.series, None)
            elif (now := self.members.get(member.series)) is None or now.version != member.version:
                again += [now] if now else []
            elif self._may_repair(member, its):
                repairs.append((member, its))
            else:
                self._settle(member, its)
        if repairs:
            await self._send(check, repairs)
        return again + [member for member, _ in repairs]

    def _tell_proven(self, check: Check, member: Member) -> None:
        outlook = check.outlooks.get(member.key)
        blind = outlook.blind if outlook is not None else frozenset()
        if blind:
            reason = f"{name_months(blind)}: files were pruned, and others of the same time came in later"
            self.report.skipped.append(Skipped(member.series, reason))
        if self.take is not None:
            unstable = frozenset(check.unstable.get(member.key, ()))
            self._proven.append(Proven(member, check.expected.get(member.key, {}), blind, unstable))

    def _may_repair(self, member: Member, differences: Sequence[Difference]) -> bool:
        """Tell whether sending helps: not where a file is lost, and not twice for the same files."""
        before = self._sent.get(member.series)
        return (
            self.repair and any(d.repairable for d in differences) and (before is None or before[0].ids != member.ids)
        )

    def _settle(self, member: Member, differences: Sequence[Difference]) -> None:
        _, before = self._sent.pop(member.series, (member, []))
        left = {difference.month for difference in differences}
        self.report.repaired += [difference for difference in before if difference.month not in left]
        for difference in differences:
            self._tell(difference)

    async def _send(self, check: Check, repairs: Sequence[tuple[Member, list[Difference]]]) -> None:
        log = structlog.get_logger()
        months = []
        for member, differences in repairs:
            broken = [difference for difference in differences if difference.repairable]
            months += [difference.key for difference in broken if difference.key is not None]
            known = self._sent.get(member.series, (member, []))[1]
            self._sent[member.series] = (member, known or broken)
            log.info(
                "repairing",
                ticker=member.series.ticker,
                quote=member.series.quote,
                interval_minutes=member.series.interval_minutes,
                months=[difference.month for difference in broken],
            )
        await send_again(self.kit, check, months)
        ids = [file_id for member, _ in repairs for file_id in member.ids]
        remark = f"rows of its series were sent again at {datetime.now(UTC).isoformat(timespec='seconds')}"
        await self.kit.patiently(partial(self.kit.claims.note, ids, remark))
