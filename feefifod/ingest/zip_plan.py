"""What is left to do of a zip, and whether what was found is what its manifest says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from feefifod.ingest.candidates import why_name_unwanted
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from feefifod.catalog import MemberRecord
    from feefifod.discover import Contents, Member
    from feefifod.ingest.tools import Tools


@dataclass(frozen=True, slots=True)
class Plan:
    """What is left to do of a zip.

    Attributes:
        left: members that are not finished; wanted: those of them that are wanted here and not yet unpacked;
        loading: those that are unpacked, or that somebody loads or moves.
    """

    members: int
    left: tuple[Member, ...]
    wanted: tuple[Member, ...]
    loading: tuple[Member, ...]

    @staticmethod
    def make(contents: Contents, records: dict[str, MemberRecord], unpacked: Collection[str], tools: Tools) -> Plan:
        """Compare what is in a zip with what the ledger knows of its members."""

        def is_wanted(member: Member) -> bool:
            return not why_name_unwanted(member.verdict, tools.watch, tools.tiers)

        busy = {place for place, record in records.items() if record.busy}
        finished = {place for place, record in records.items() if record.finished}
        left = tuple(member for member in contents.members if member.place not in finished)
        loading = tuple(
            member for member in left if member.place in busy or (member.place in unpacked and is_wanted(member))
        )
        away = {member.place for member in loading} | set(unpacked)
        wanted = tuple(member for member in left if member.place not in away and is_wanted(member))
        return Plan(len(contents.members), left, wanted, loading)

    def describe(self) -> str:
        """Say how far it is."""
        done = f"{self.members - len(self.left)} of {count_of(self.members, 'member')} done"
        if self.loading or self.wanted:
            return done
        return f"{done}; the others are not wanted now ([watch] tiers and intervals)"


def compare_manifest(contents: Contents, records: Iterable[MemberRecord]) -> str:
    """Say where MANIFEST.json disagrees with what was found, "" where it does not."""
    if contents.manifest is None:
        return ""
    rows = sum(record.rows for record in records)
    pairs = ((contents.manifest.files, len(contents.members), "files"), (contents.manifest.rows, rows, "rows"))
    differences = [
        f"MANIFEST.json says {said:,} {what}, and {found:,} were found"
        for said, found, what in pairs
        if said is not None and said != found
    ]
    for difference in differences:
        structlog.get_logger().warning("manifest_disagrees", reason=difference)
    return "; ".join(differences)
