"""The cheapest set of calls for what is missing.

An API gives one asset's history in one call (a range), or one session of a whole market in one call (grouped). Every
missing (asset, session) must be covered by the one or the other, so the cheapest plan is a minimum vertex cover of the
bipartite graph of assets and sessions: by König's theorem it is found from a maximum matching, exactly.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date


class Grouped(Enum):
    """Whether a plan may use grouped calls."""

    NEVER = "never"
    ALLOWED = "allowed"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class RangeCall:
    """One call for one asset. `sessions` are the missing ones; the call spans from the first to the last of them."""

    asset_id: int
    sessions: tuple[date, ...]

    @property
    def start(self) -> date:
        return self.sessions[0]

    @property
    def end(self) -> date:
        return self.sessions[-1]


@dataclass(frozen=True, slots=True)
class GroupedCall:
    """One call for one session of a market. `asset_ids` are those that miss it and have no range call."""

    session: date
    asset_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask for.

    Attributes:
        calls: grouped ones first, newest session first; then ranges in the assets' order. Each missing (asset, session)
            belongs to exactly one of them.
        too_old: sessions per asset that lie before the history limit and are not asked for.
    """

    calls: tuple[RangeCall | GroupedCall, ...]
    too_old: Mapping[int, tuple[date, ...]]

    def seconds(self, spacing_seconds: float) -> float:
        """Return how long the calls take at a pace: the first one is immediate."""
        return max(0, len(self.calls) - 1) * spacing_seconds


def make_plan(missing: Mapping[int, Sequence[date]], *, oldest: date, grouped: Grouped) -> Plan:
    """Find the fewest calls for the missing sessions of one market's assets.

    Args:
        missing: sessions per asset id; any order, repeats do not matter.
        oldest: the history limit; sessions before it are left out and reported.
        grouped: whether grouped calls are impossible, possible or demanded.
    """
    wanted: dict[int, tuple[date, ...]] = {}
    too_old: dict[int, tuple[date, ...]] = {}
    for asset_id, sessions in missing.items():
        ordered = sorted(set(sessions))
        reachable = tuple(session for session in ordered if session >= oldest)
        if reachable:
            wanted[asset_id] = reachable
        if len(reachable) < len(ordered):
            too_old[asset_id] = tuple(session for session in ordered if session < oldest)
    if grouped is Grouped.NEVER:
        by_range = set(wanted)
    elif grouped is Grouped.ALWAYS:
        by_range = set()
    else:
        by_range = _cover_with_ranges(wanted)
    by_session: dict[date, list[int]] = {}
    for asset_id, sessions in wanted.items():
        if asset_id not in by_range:
            for session in sessions:
                by_session.setdefault(session, []).append(asset_id)
    calls: list[RangeCall | GroupedCall] = [
        GroupedCall(session, tuple(by_session[session])) for session in sorted(by_session, reverse=True)
    ]
    calls += [RangeCall(asset_id, sessions) for asset_id, sessions in wanted.items() if asset_id in by_range]
    return Plan(tuple(calls), too_old)


def _cover_with_ranges(wanted: Mapping[int, tuple[date, ...]]) -> set[int]:
    """Return the assets of a minimum vertex cover; of equal covers the one with most ranges: they are lighter."""
    matched_asset: dict[date, int] = {}
    matched_session: dict[int, date] = {}
    exhausted: set[date] = set()  # A failed search proves its sessions useless for every later one.
    for asset_id in wanted:
        came_from: dict[date, int] = {}
        queue = deque([asset_id])
        free: date | None = None
        while queue and free is None:
            current = queue.popleft()
            for session in wanted[current]:
                if session in came_from or session in exhausted:
                    continue
                came_from[session] = current
                if session not in matched_asset:
                    free = session
                    break
                queue.append(matched_asset[session])
        if free is None:
            exhausted |= came_from.keys()
            continue
        step: date | None = free
        while step is not None:  # Flip the path: every asset on it moves to the session it was found from.
            owner = came_from[step]
            before = matched_session.get(owner)
            matched_session[owner], matched_asset[step] = step, owner
            step = before
    # König: sessions that alternating paths from unmatched assets reach, and the assets not reached, are a cover.
    # All sessions so reached are in `exhausted`; an asset was reached when its session is, or when it has none.
    return {
        asset_id for asset_id in wanted if asset_id in matched_session and matched_session[asset_id] not in exhausted
    }
