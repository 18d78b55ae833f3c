"""What the doctor says about one thing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is: a warning costs speed, comfort or safety; with an error something does not work."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        check: what was looked at, such as `QuestDB version`.
        what: how it is.
        why: why it matters.
        remedy: exactly what to do; empty when nothing is to be done.
    """

    check: str
    level: Level
    what: str
    why: str
    remedy: str = ""


def good(check: str, what: str, why: str) -> Finding:
    """Say that all is well."""
    return Finding(check, Level.OK, what, why)


def warn(check: str, what: str, why: str, remedy: str) -> Finding:
    """Say what costs speed, comfort or safety."""
    return Finding(check, Level.WARNING, what, why, remedy)


def fail(check: str, what: str, why: str, remedy: str) -> Finding:
    """Say what does not work."""
    return Finding(check, Level.ERROR, what, why, remedy)
