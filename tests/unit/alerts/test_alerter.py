"""Each alert is told once, and its end once, and never too many an hour."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from feefifod.alerts import Alert, Alerter

CONDITIONS = st.lists(st.dictionaries(st.sampled_from("abcde"), st.just("why"), max_size=5), max_size=30)


def test_told_once_and_its_end_once() -> None:
    alerter = Alerter(10)

    assert [alert.state for alert in alerter.compare({"disk": "full"}, 0)] == ["raised"]
    assert list(alerter.compare({"disk": "fuller"}, 60)) == []
    [over] = alerter.compare({}, 120)
    assert (over.name, over.state, over.text) == ("disk", "resolved", "full")
    assert list(alerter.compare({}, 180)) == []


def test_what_is_held_back_is_told_when_there_is_room_if_it_is_still_so() -> None:
    alerter = Alerter(2)

    assert len(list(alerter.compare({"a": "", "b": "", "c": ""}, 0))) == 2
    assert list(alerter.happened("d", "", 1)) == []
    assert [alert.name for alert in alerter.compare({"a": "", "b": "", "c": ""}, 3601)] == ["c"]


@given(rounds=CONDITIONS, limit=st.integers(1, 5))
def test_raised_and_resolved_take_turns_and_the_limit_holds(rounds: list[dict[str, str]], limit: int) -> None:
    alerter = Alerter(limit)
    told: list[tuple[float, str, str]] = []
    for number, conditions in enumerate(rounds):
        now = number * 700.0
        told += [(now, alert.name, alert.state) for alert in alerter.compare(conditions, now)]

    for name in "abcde":
        states = [state for _, one, state in told if one == name]
        assert states == ["raised", "resolved"] * (len(states) // 2) + ["raised"] * (len(states) % 2)
    for now, _, _ in told:
        assert sum(0 <= now - at <= 3600 for at, _, _ in told) <= limit


def test_the_document_is_what_the_monitoring_page_promises() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/monitoring/README.md").read_text(encoding="utf-8")
    promised = json.loads(page.rpartition("```json\n")[2].partition("```")[0])

    for state in ("raised", "resolved", "happened"):
        document = Alert("suspended", state, "the disk is full").document("db1", "2026-01-02T03:04:05+00:00")
        assert document.keys() == promised.keys()
        # Slack and Discord show this alone.
        assert document["text"] == f"feefifod on db1: suspended {state}: the disk is full"
        assert (document["host"], document["name"], document["state"]) == ("db1", "suspended", state)
