"""When a cron line is due, in its own time zone, with the days on which clocks change done right.

The rule for these days is the one people know from cron: a time that the clock skips is due when the clock jumps,
a time that comes twice is due once (the first time), unless the hour field starts with `*`: that means real time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from feefifod.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOK_BACK: Final = (timedelta(hours=2), timedelta(days=2), timedelta(days=63), timedelta(days=800))
"""How far back to start when looking for the previous instant: near first, for lines that are due often."""

_RAREST: Final = timedelta(days=8 * 366 + 1)
"""29 February can be eight years away (around 2100)."""


@dataclass(frozen=True)
class Cron:
    """A checked cron line. Made by `parse_cron`."""

    line: str
    zone: ZoneInfo

    def next(self, after: datetime) -> datetime:
        """Return the first due instant later than `after`, in UTC."""
        return next(self._instants(after))

    def previous(self, now: datetime) -> datetime | None:
        """Return the last due instant not later than `now`, in UTC; None when there was none in eight years."""
        for distance in (*_LOOK_BACK, _RAREST):
            last = None
            for instant in self._instants(now - distance):
                if instant > now:
                    break
                last = instant
            if last is not None:
                return last
        return None

    def due(self, last_run: datetime, now: datetime) -> datetime | None:
        """Return the instant to run for, or None.

        However many were missed since `last_run`, one run catches up.
        """
        latest = self.previous(now)
        return latest if latest is not None and latest > last_run else None

    def _instants(self, after: datetime) -> Iterator[datetime]:
        ticks = croniter(self.line, after.astimezone(self.zone))
        while True:
            local: datetime = ticks.get_next(datetime)
            is_second_time = local.utcoffset() != local.replace(fold=0).utcoffset()
            if is_second_time and not self._means_real_time:
                continue
            yield local.astimezone(UTC)

    @cached_property
    def _means_real_time(self) -> bool:
        return self.line.split()[1].startswith("*")


def parse_cron(line: str, timezone: str) -> Cron:
    """Check a cron line of five fields and its IANA time zone.

    Raises:
        ConfigError: it is not one, the zone is unknown, or the line is never due.
    """
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):  # Unknown names, "../x", and folders such as "Europe", in this order.
        raise ConfigError(
            f"unknown time zone {timezone!r}", remedy='Use an IANA name such as "Europe/Berlin" or "UTC"'
        ) from None
    fields = line.split()
    # croniter also knows `R`, a random value: two daemons would not agree on it.
    has_random = any(part.startswith("r") for field in fields for part in field.lower().split(","))
    if len(fields) != 5 or has_random or not croniter.is_valid(line):
        raise ConfigError(
            f"{line!r} is not a cron line",
            remedy='Write five fields: minute hour day month weekday, for instance "10 5 * * 2-6"',
        )
    cron = Cron(" ".join(fields), zone)
    try:
        cron.next(datetime(2026, 1, 1, tzinfo=UTC))
    except CroniterBadDateError:
        raise ConfigError(f"the cron line {line!r} is never due", remedy="Check day and month") from None
    return cron


def spread(name: str, instant: datetime, jitter_seconds: float) -> float:
    """Return how many seconds after `instant` the schedule `name` starts, from 0 to `jitter_seconds`.

    It looks random but is a function of its arguments, so that two daemons agree on it.
    """
    digest = hashlib.sha256(f"{name}\0{instant.astimezone(UTC).isoformat()}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48 * jitter_seconds
