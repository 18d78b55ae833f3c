"""The plan covers exactly what is missing, with the fewest calls there can be."""

from __future__ import annotations

import time
from datetime import date, timedelta
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from feefifod.schedule.plan import Grouped, GroupedCall, Plan, RangeCall, make_plan

EPOCH = date(2026, 1, 5)
Missing = dict[int, list[date]]


def _day(n: int) -> date:
    return EPOCH + timedelta(days=n)


missing_sets = st.dictionaries(st.integers(1, 7), st.lists(st.integers(0, 6).map(_day), max_size=9), max_size=7)
modes = st.sampled_from(Grouped)


def _covered(plan: Plan) -> list[tuple[int, date]]:
    pairs = []
    for call in plan.calls:
        if isinstance(call, RangeCall):
            pairs += [(call.asset_id, session) for session in call.sessions]
        else:
            pairs += [(asset_id, call.session) for asset_id in call.asset_ids]
    return pairs


def _fewest(missing: Missing) -> int:
    """Try every set of sessions for grouped calls: the assets they leave open need a range each."""
    sessions = sorted({session for days in missing.values() for session in days})
    return min(
        size + sum(1 for days in missing.values() if not set(days) <= set(chosen))
        for size in range(len(sessions) + 1)
        for chosen in combinations(sessions, size)
    )


@given(missing_sets)
def test_no_plan_has_fewer_calls(missing: Missing) -> None:
    assert len(make_plan(missing, oldest=EPOCH, grouped=Grouped.ALLOWED).calls) == _fewest(missing)


@given(missing_sets, modes, st.integers(-1, 8))
def test_every_missing_session_is_covered_once_or_reported(missing: Missing, mode: Grouped, limit: int) -> None:
    plan = make_plan(missing, oldest=_day(limit), grouped=mode)

    wanted = {(asset_id, session) for asset_id, days in missing.items() for session in days}
    covered = _covered(plan)
    reported = {(asset_id, session) for asset_id, days in plan.too_old.items() for session in days}
    assert len(covered) == len(set(covered))
    assert set(covered) | reported == wanted
    assert all(session >= _day(limit) for _, session in covered)
    assert all(session < _day(limit) for _, session in reported)


@given(missing_sets, modes)
def test_grouped_is_forced_or_forbidden(missing: Missing, mode: Grouped) -> None:
    kinds = {type(call) for call in make_plan(missing, oldest=EPOCH, grouped=mode).calls}

    if mode is Grouped.ALWAYS:
        assert kinds <= {GroupedCall}
    if mode is Grouped.NEVER:
        assert kinds <= {RangeCall}


def test_a_mixture_beats_both() -> None:
    """A hundred assets miss a week, one is new: five grouped calls and one range, not 101 nor 500."""
    missing = {n: [_day(d) for d in range(495, 500)] for n in range(100)} | {100: [_day(d) for d in range(500)]}

    plan = make_plan(missing, oldest=EPOCH, grouped=Grouped.ALLOWED)

    assert [type(call) for call in plan.calls] == [GroupedCall] * 5 + [RangeCall]
    assert [call.session for call in plan.calls if isinstance(call, GroupedCall)] == [
        _day(d) for d in range(499, 494, -1)
    ]
    last = plan.calls[-1]
    assert isinstance(last, RangeCall)
    assert (last.asset_id, last.start, last.end) == (100, _day(0), _day(499))


def test_of_equal_plans_ranges_are_taken() -> None:
    missing = {1: [_day(0), _day(1)], 2: [_day(0), _day(1)]}

    assert {type(call) for call in make_plan(missing, oldest=EPOCH, grouped=Grouped.ALLOWED).calls} == {RangeCall}


def test_the_time_at_a_pace() -> None:
    plan = make_plan({n: [_day(0)] for n in range(6)}, oldest=EPOCH, grouped=Grouped.NEVER)

    assert plan.seconds(12.2) == 61.0
    assert make_plan({}, oldest=EPOCH, grouped=Grouped.ALLOWED).seconds(12.2) == 0


def test_many_assets_over_years_are_planned_in_a_moment() -> None:
    missing = {n: [_day(d) for d in range(500) if (d * 7 + n) % 3] for n in range(1000)}
    started = time.process_time()

    plan = make_plan(missing, oldest=EPOCH, grouped=Grouped.ALLOWED)

    assert len(plan.calls) == 500
    assert time.process_time() - started < 5
