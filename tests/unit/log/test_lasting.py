"""A fault that lasts is logged at once, then ever more rarely, and its end once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from feefifod import lasting
from feefifod.lasting import forget_faults, tell_end, tell_fault


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    forget_faults()
    yield
    forget_faults()


def test_fault_is_told_ever_more_rarely_and_ends_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every 2 s for an hour: a handful of lines, the last of which says that it is over."""
    now = [0.0]
    monkeypatch.setattr(lasting.time, "monotonic", lambda: now[0])
    with capture_logs() as logs:
        for number in range(1_800):
            tell_fault("trouble", "look", f"table suspended at {number}", remedy="Resume it")
            now[0] += 2
        tell_end("trouble", "look")
        tell_end("trouble", "look")
    assert [log["event"] for log in logs[-2:]] == ["trouble", "trouble_over"]
    assert len(logs) <= 12
    assert logs[-1]["times"] == 1_800
    assert logs[-2]["times"] > 100
    assert logs[-2]["for_seconds"] > 600


def test_flickering_fault_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(lasting.time, "monotonic", lambda: now[0])
    with capture_logs() as logs:
        for _ in range(300):
            tell_fault("waiting", "QuestDB", "it is away")
            tell_end("waiting", "QuestDB")
            now[0] += 1
        before = len(logs)
        now[0] += 600
        assert tell_fault("waiting", "QuestDB", "it is away")
    assert before <= 16


def test_another_cause_is_told_at_once() -> None:
    assert tell_fault("waiting", "QuestDB", "it is away")
    assert tell_fault("waiting", "QuestDB", "its disk is full")
    assert not tell_fault("waiting", "QuestDB", "it is away")
