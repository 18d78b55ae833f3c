"""Cron lines are due when a person reading the clock on the wall expects it, on every day of the year."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feefifod.errors import ConfigError
from feefifod.schedule.cron import parse_cron, spread

NEW_YORK = "America/New_York"
ZONES = ("UTC", NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata")


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "zone", "after", "expected"),
    [
        ("10 5 * * 2-6", "UTC", "2026-11-20T05:09:59", "2026-11-20T05:10"),
        ("10 5 * * 2-6", "UTC", "2026-11-21T05:10", "2026-11-24T05:10"),  # Saturday's was the last of the week.
        ("30 2 * * *", NEW_YORK, "2026-03-07T12:00", "2026-03-08T07:00"),  # 02:30 does not exist: when the clock jumps.
        ("30 2 * * *", NEW_YORK, "2026-03-08T07:00", "2026-03-09T06:30"),
        ("30 1 * * *", NEW_YORK, "2026-10-31T12:00", "2026-11-01T05:30"),  # 01:30 comes twice: the first time,
        ("30 1 * * *", NEW_YORK, "2026-11-01T05:30", "2026-11-02T06:30"),  # and only then.
        ("30 1 * * *", NEW_YORK, "2026-11-01T05:45", "2026-11-02T06:30"),
        ("30 * * * *", NEW_YORK, "2026-11-01T05:30", "2026-11-01T06:30"),  # Every hour means every real hour.
        ("0 0 31 * *", "UTC", "2026-01-31T00:00", "2026-03-31T00:00"),  # Months without a 31st have none.
        ("0 0 l * *", "UTC", "2028-02-01T00:00", "2028-02-29T00:00"),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00", "2028-02-29T00:00"),
        ("0 0 29 2 *", "UTC", "2096-03-01T00:00", "2104-02-29T00:00"),
        ("0 0 13 * 5", "UTC", "2026-11-01T00:00", "2026-11-06T00:00"),  # Both day fields given: either one.
        ("59 23 31 12 *", "UTC", "2026-12-31T23:59", "2027-12-31T23:59"),
        ("0 0 * * 7", "UTC", "2026-11-16T00:00", "2026-11-22T00:00"),
    ],
)
def test_next(line: str, zone: str, after: str, expected: str) -> None:
    assert parse_cron(line, zone).next(_at(after)) == _at(expected)


@pytest.mark.parametrize(
    ("line", "zone", "now", "expected"),
    [
        ("10 5 * * *", "UTC", "2026-11-20T05:10", "2026-11-20T05:10"),  # The instant itself counts.
        ("10 5 * * *", "UTC", "2026-11-20T05:09:59", "2026-11-19T05:10"),
        ("30 1 * * *", NEW_YORK, "2026-11-01T07:00", "2026-11-01T05:30"),
        ("30 2 * * *", NEW_YORK, "2026-03-08T07:00", "2026-03-08T07:00"),
        ("0 0 31 * *", "UTC", "2026-03-01T00:00", "2026-01-31T00:00"),
        ("0 0 29 2 *", "UTC", "2104-02-28T00:00", "2096-02-29T00:00"),
    ],
)
def test_previous(line: str, zone: str, now: str, expected: str) -> None:
    assert parse_cron(line, zone).previous(_at(now)) == _at(expected)


def test_missed_runs_are_caught_up_once() -> None:
    cron = parse_cron("0 6 * * *", "UTC")
    now = _at("2026-11-20T07:00")

    assert cron.due(_at("2026-11-10T06:00"), now) == _at("2026-11-20T06:00")
    assert cron.due(_at("2026-11-20T06:00"), now) is None


@pytest.mark.parametrize(
    "line",
    ["", "* * * *", "* * * * * *", "@daily", "60 * * * *", "0 24 * * *", "*/0 * * * *", "a b c d e", "R R * * *",
     "0 0 1,R * *", "0 0 * * R", "H H * * *", "0 0 31 2 *", "0 0 * * 8", "1e1 * * * *", "\u0661 * * * *"],
)  # fmt: skip
def test_what_is_not_a_cron_line_is_refused(line: str) -> None:
    with pytest.raises(ConfigError):
        parse_cron(line, "UTC")


@pytest.mark.parametrize("zone", ["Mars/Phobos", "", "Europe", "../../etc/passwd", "UTC\0"])
def test_what_is_not_a_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(ConfigError, match="time zone"):
        parse_cron("0 0 * * *", zone)


_minutes = st.sampled_from(["0", "30", "59", "*/15", "5,35", "*"])
_hours = st.sampled_from(["0", "1", "2", "3", "*", "*/2", "1,2,3", "23", "1-3"])
_days = st.sampled_from(
    [
        _at(day)
        for day in ("2026-03-08", "2026-11-01", "2026-03-29", "2026-10-25", "2026-04-05", "2026-10-04", "2026-06-10")
    ]
)


@settings(max_examples=50, deadline=None)
@given(_minutes, _hours, st.sampled_from(ZONES), _days, st.integers(-24 * 60, 36 * 60))
def test_agrees_with_a_clock_watched_minute_by_minute(
    minute: str, hour: str, zone: str, day: datetime, offset: int
) -> None:
    cron = parse_cron(f"{minute} {hour} * * *", zone)
    now = day + timedelta(minutes=offset)
    watched = _watch(minute, hour, ZoneInfo(zone), day - timedelta(days=2), day + timedelta(days=3))

    assert cron.next(now) == next(instant for instant in watched if instant > now)
    assert cron.previous(now) == [instant for instant in watched if instant <= now][-1]


def _watch(minute: str, hour: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Every due instant from start to end, by looking at the wall clock every minute."""
    minutes, hours = _expand(minute, 60), _expand(hour, 24)
    due, seen, instant = [], set(), start
    last = instant.astimezone(zone).replace(tzinfo=None) - timedelta(minutes=1)
    while instant <= end:
        wall = instant.astimezone(zone).replace(tzinfo=None)
        skipped = []
        if wall - last > timedelta(minutes=1) and not hour.startswith("*"):
            skipped = [last + timedelta(minutes=n) for n in range(1, int((wall - last).total_seconds() // 60))]
        hits = [time for time in (*skipped, wall) if time.minute in minutes and time.hour in hours]
        if hits and (hour.startswith("*") or wall not in seen):
            due.append(instant)
        seen.add(wall)
        last, instant = wall, instant + timedelta(minutes=1)
    return due


def _expand(field: str, size: int) -> set[int]:
    if field.startswith("*"):
        return set(range(0, size, int(field.partition("/")[2] or 1)))
    if "-" in field:
        low, high = field.split("-")
        return set(range(int(low), int(high) + 1))
    return {int(part) for part in field.split(",")}


@settings(max_examples=30)
@given(st.text(max_size=20), st.datetimes(timezones=st.just(UTC)), st.floats(0, 86400))
def test_jitter_is_bounded_and_the_same_for_everybody(name: str, instant: datetime, jitter_seconds: float) -> None:
    delay = spread(name, instant, jitter_seconds)

    assert 0 <= delay <= jitter_seconds
    assert delay == spread(name, instant.replace(tzinfo=ZoneInfo("UTC")), jitter_seconds)


def test_jitter_spreads() -> None:
    delays = sorted(spread("us-daily", _at("2026-01-01") + timedelta(days=n), 100.0) for n in range(400))

    assert delays[40] < 20
    assert delays[200] == pytest.approx(50, abs=12)
    assert delays[360] > 80
