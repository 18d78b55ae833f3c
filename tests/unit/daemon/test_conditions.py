"""What needs attention, judged from a look at everything."""

from __future__ import annotations

from typing import Any

import pytest

from feefifod.daemon.alarm import find_conditions
from feefifod.daemon.outlook import Disk, View

GIB = 1024**3
WELL: dict[str, Any] = {
    "questdb": {"error": None, "suspended": False},
    "postgres": {"error": None},
    "data": {"error": None},
    "schedules": [
        {"name": "a", "last": {"outcome": "done", "reason": ""}},
        {"name": "b", "last": {"outcome": None, "reason": ""}},
        {"name": "c", "last": None},
    ],
}


def test_all_is_well() -> None:
    view = View(WELL, {"data": Disk(2 * GIB, 100 * GIB)})

    assert list(find_conditions(view)) == list(view.why_not_ready()) == []


@pytest.mark.parametrize(
    ("changes", "name", "ready"),
    [
        ({"questdb": {"error": "it is away", "suspended": None}}, "questdb", False),
        ({"questdb": {"error": "the table is suspended", "suspended": True}}, "suspended", False),
        ({"postgres": {"error": "it is away"}}, "postgres", False),
        ({"data": {"error": "it is gone"}}, "data", False),
        ({"schedules": [{"name": "a", "last": {"outcome": "failed", "reason": "no key"}}]}, "schedule a", True),
    ],
)
def test_each_trouble_has_a_name(changes: dict[str, Any], name: str, ready: bool) -> None:
    """A schedule that failed is worth an alert, but files can be ingested all the same."""
    view = View(WELL | changes, {})

    assert [found for found, _ in find_conditions(view)] == [name]
    assert (list(view.why_not_ready()) == []) is ready


@pytest.mark.parametrize(
    ("free", "size", "full"),
    [
        (GIB - 1, 100 * GIB, True),
        (GIB + 1, 10_000 * GIB, False),
        (GIB // 4, 10 * GIB, True),
        (GIB // 4, GIB, False),
    ],
)
def test_when_a_disk_is_nearly_full(free: int, size: int, full: bool) -> None:
    view = View(WELL, {"state": Disk(free, size)})

    assert bool(list(find_conditions(view))) is bool(list(view.why_not_ready())) is full


def test_a_look_that_failed_is_a_trouble_of_its_own() -> None:
    view = View(None, {}, "it takes too long")

    assert list(find_conditions(view)) == [("look", "it takes too long")]
    assert list(view.why_not_ready()) == ["it takes too long"]
