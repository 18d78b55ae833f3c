"""Faults that may last: each is logged at once, then ever more rarely while it goes on, and its end once.

What repeats an attempt tells of every failure here, and of the first success after it. Failures of the same subject
with the same reason are one fault.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any, Final

import structlog

_FIRST_DISTANCE_SECONDS: Final = 5.0
_LONGEST_DISTANCE_SECONDS: Final = 3600.0
_FORGOTTEN_SECONDS: Final = 60.0
"""What comes again within this time after its end is the same fault: it only flickers."""
_MOST_FAULTS: Final = 200
_NUMBER: Final = re.compile(r"\d+")


@dataclass(slots=True)
class _Fault:
    reason: str
    since: float
    last: float
    due: float
    distance: float = _FIRST_DISTANCE_SECONDS
    times: int = 0
    ended: bool = False
    said: bool = False


_faults: dict[tuple[str, str, str], _Fault] = {}  # Of the process, as its logging is.


def tell_fault(event: str, subject: str, reason: str, *, level: str = "warning", **details: Any) -> bool:
    """Log a fault, if its time has come; tells whether it was logged.

    Args:
        event: the name in the log.
        subject: what cannot go on, such as a server or a schedule.
        reason: the cause; numbers in it make no other fault.
        level: of the log.
        details: what else the log says, such as the remedy.
    """
    now = time.monotonic()
    key = (event, subject, _NUMBER.sub("0", reason))
    fault = _faults.pop(key, None)
    if fault is None or (fault.ended and now - fault.last > _FORGOTTEN_SECONDS):
        fault = _Fault(reason, since=now, last=now, due=now)
    _faults[key] = fault  # The one that failed last stands last.
    if len(_faults) > _MOST_FAULTS:
        del _faults[next(iter(_faults))]
    fault.times += 1
    fault.last, fault.ended, fault.reason = now, False, reason
    if now < fault.due:
        return False
    if fault.times > 1:
        details |= {"times": fault.times, "for_seconds": round(now - fault.since)}
        fault.distance = min(2 * fault.distance, _LONGEST_DISTANCE_SECONDS)
    fault.due = now + fault.distance
    fault.said = True
    structlog.get_logger().log(_LEVELS[level], event, reason=reason, **details)
    return True


def tell_end(event: str, subject: str) -> None:
    """Log that what was told of a subject is over; nothing where nothing was told."""
    now = time.monotonic()
    for (known, whose, _), fault in _faults.items():
        if (known, whose) != (event, subject) or fault.ended:
            continue
        fault.ended = True
        fault.last = now
        if fault.said:
            fault.said = False
            structlog.get_logger().info(
                f"{event}_over",
                subject=subject,
                reason=fault.reason,
                times=fault.times,
                for_seconds=round(now - fault.since),
            )


def forget_faults() -> None:
    """Begin anew, as a new process does."""
    _faults.clear()


_LEVELS: Final = {"warning": 30, "error": 40}
