"""Zips that may be removed: only as a whole, and only when every member may go."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from feefifod.model import Series
from feefifod.retention.plan import choose_going, find_unprovable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from feefifod.catalog.retention import OldFile, Retention
    from feefifod.catalog.verification import DoneFile
    from feefifod.verify import Kit, Proven


@dataclass(slots=True)
class ZipPlan:
    """What is to become of zips.

    Attributes:
        members: by content hash of a zip, the series of its members that the table holds, loaded from it or not.
        going: the zips that may go. staying: those that may not, and why.
    """

    members: dict[bytes, set[Series]] = field(default_factory=dict)
    going: list[OldFile] = field(default_factory=list)
    staying: list[tuple[OldFile, str]] = field(default_factory=list)
    _files: dict[Series, list[DoneFile]] = field(default_factory=dict)
    _bad: dict[int, str] = field(default_factory=dict)

    @classmethod
    async def make(cls, kit: Kit, store: Retention, table_id: str, zips: Sequence[OldFile]) -> ZipPlan:
        """Plan for old zips; what is decided follows from their proof."""
        plan = cls()
        copies: dict[bytes, list[OldFile]] = defaultdict(list)
        for zip_ in zips:
            copies[zip_.sha256].append(zip_)
        for sha256, its in copies.items():
            if await kit.patiently(partial(store.count_copies, sha256)) > len(its):
                plan.staying += [(zip_, "a copy of it came in later") for zip_ in its]
                continue
            plan.members[sha256] = await kit.patiently(partial(store.read_members, sha256, table_id))
            plan.going += its
        return plan

    @property
    def series(self) -> set[Series]:
        """All series that have to be proven."""
        return set[Series]().union(*self.members.values())

    @property
    def places(self) -> set[bytes]:
        """Where the zips that may go lie."""
        return {zip_.place for zip_ in self.going}

    @property
    def wanted_series(self) -> set[Series]:
        """The series of the zips that may go."""
        return set[Series]().union(*(self.members[zip_.sha256] for zip_ in self.going))

    async def take(self, proven: Proven) -> None:
        """Take note of a series that is proven."""
        files = [file for _, file in proven.member.files]
        self._files[proven.member.series] = files
        self._bad |= find_unprovable(files, proven.blind, proven.unstable)

    def settle(self, reasons: Mapping[Series, str], may_go: Callable[[DoneFile], bool]) -> None:
        """Decide: a zip stays when a member is not proven, or shares months with a file that stays."""
        for zip_ in list(self.going):
            unproven = [series for series in self.members[zip_.sha256] if series not in self._files]
            if unproven or not self.members[zip_.sha256]:
                why = reasons.get(unproven[0], "not all its series are there any more") if unproven else "it is empty"
                self._stay(zip_, f"it holds files that are not proven: {why}")
        changed = True
        while changed:
            changed = False
            for files in self._files.values():
                going = {file.id for file in choose_going(files, lambda f: may_go(f) and f.id not in self._bad)}
                stuck = {file.zip_place for file in files if file.member is not None and file.id not in going}
                for zip_ in [zip_ for zip_ in self.going if zip_.place in stuck]:
                    self._stay(zip_, "files of the same months, or members that nothing can stand for, have to stay")
                    changed = True

    def _stay(self, zip_: OldFile, reason: str) -> None:
        """Let all copies of a zip stay."""
        copies = [copy for copy in self.going if copy.sha256 == zip_.sha256]
        self.going = [copy for copy in self.going if copy.sha256 != zip_.sha256]
        self.staying += [(copy, reason) for copy in copies]
