"""JSON lines or colours, one way for all loggers, and no secret in either."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from feefifod import log
from feefifod.log import redaction, setup

SECRET = "hunter2/ä+b"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def leave_logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(redaction, "_known", set())
    root, ours = logging.getLogger(), logging.getLogger("feefifod")
    levels = root.level, ours.level
    yield
    if setup._handler is not None:
        root.removeHandler(setup._handler)
    setup._handler = None
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    structlog.reset_defaults()


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def logger() -> Any:
    return structlog.get_logger("feefifod.test")


def fail_twice(text: str) -> None:
    """Raise an error that was caused by another, both with this text."""
    error = RuntimeError(f"outer {text}")
    error.__cause__ = ValueError(f"inner {text}")
    raise error


def test_json_lines_when_not_a_terminal() -> None:
    stream = io.StringIO()
    log.configure("info", stream=stream)
    logger().info("file done", file="a.csv", rows=12, rate=1.5, pair=None, path=Path("/x"))
    (event,) = events(stream)
    assert datetime.fromisoformat(event.pop("timestamp")).tzinfo == UTC
    assert event == {
        "event": "file done",
        "level": "info",
        "logger": "feefifod.test",
        "file": "a.csv",
        "rows": 12,
        "rate": 1.5,
        "pair": None,
        "path": "/x",
    }


def test_one_event_is_one_line_whatever_it_holds() -> None:
    stream = io.StringIO()
    log.configure("info", stream=stream)
    hostile = "a\nb\x1b[31m\u2028\udcff"
    logger().info("x", file=hostile)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().isascii()
    assert events(stream)[0]["file"] == hostile


def test_colours_on_a_terminal_unless_unwanted(monkeypatch: pytest.MonkeyPatch) -> None:
    for no_color, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_color)
        stream = Terminal()
        log.configure("info", stream=stream)
        logger().info("file done", rows=12)
        assert ("\x1b[" in stream.getvalue()) is coloured
        assert "file done" in stream.getvalue()


def test_file_names_cannot_drive_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    log.configure("info", stream=stream)
    logger().info("x\r", **{"file": "a\n2026 [error] forged\x1b]0;t\x07\u202e\udcff\x9b", "n\n": 1})
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.rstrip("\n").isprintable()
    assert "forged" in text


def test_level_at_the_start_and_at_run_time() -> None:
    stream = io.StringIO()
    log.configure("warning", stream=stream)
    logger().info("no")
    log.set_level("debug")
    logger().debug("yes")
    log.set_level("error")
    logger().warning("no")
    assert [event["event"] for event in events(stream)] == ["yes"]


def test_loggers_made_before_are_configured_too() -> None:
    early = structlog.get_logger("feefifod.early")
    stream = io.StringIO()
    log.configure("info", stream=stream)
    early.info("heard")
    assert [event["event"] for event in events(stream)] == ["heard"]


def test_libraries_go_the_same_way_from_warning_on() -> None:
    stream = io.StringIO()
    log.register_secret(SECRET)
    log.configure("debug", stream=stream)
    library = logging.getLogger("some.library")
    library.info("noise")
    library.warning("retry %s of %s", 1, SECRET)
    (event,) = events(stream)
    assert (event["event"], event["level"], event["logger"]) == ("retry 1 of [redacted]", "warning", "some.library")
    assert event["timestamp"]


def test_configuring_again_replaces() -> None:
    first, second = io.StringIO(), io.StringIO()
    log.configure("info", stream=first)
    log.configure("info", stream=second)
    logger().info("once")
    assert first.getvalue() == ""
    assert len(events(second)) == 1


def test_context_variables_are_in() -> None:
    stream = io.StringIO()
    log.configure("info", stream=stream)
    with structlog.contextvars.bound_contextvars(batch=7):
        logger().info("x")
    assert events(stream)[0]["batch"] == 7


@pytest.mark.parametrize("make_stream", [io.StringIO, Terminal])
def test_no_secret_by_any_way(make_stream: type[io.StringIO]) -> None:
    stream = make_stream()
    log.register_secret(SECRET)
    log.configure("debug", stream=stream)
    log_ = logger()
    log_.info(f"in the event {SECRET}")
    log_.info("by place %s", SECRET)
    log_.info("in a value", url=f"https://h/x?q={SECRET}", quoted="hunter2%2F%C3%A4%2Bb", inner={"a": [{"b": SECRET}]})
    log_.info("as another type", path=Path("/x") / SECRET, error=ValueError(SECRET), items={SECRET}, as_key={SECRET: 1})
    log_.info(
        "by name", api_key="abc-1", Authorization="abc-2", db_password=b"abc-3", token=12345678, dsn={"x": "abc-4"}
    )
    log_.info("nested name", request={"headers": {"authorization": "Bearer abc-5"}})
    log_.info("url", url="postgresql://me:abc-6@host/db and http://u:abc-7@x@y/ https://h/?apiKey=abc-8&a=1")
    try:
        fail_twice(f"with {SECRET}")
    except RuntimeError:
        log_.exception("failed")
        logging.getLogger("some.library").exception("failed %s", SECRET)
    text = stream.getvalue()
    assert "RuntimeError: outer with [redacted]" in text
    assert "ValueError: inner with [redacted]" in text
    assert "me:[redacted]@host/db" in text
    for leak in ("hunter2", "abc-", "12345678"):
        assert leak not in text


def test_exceptions_keep_their_lines_on_a_terminal() -> None:
    stream = Terminal()
    log.configure("info", stream=stream)
    try:
        fail_twice("bad\x1bname")
    except RuntimeError:
        logger().exception("failed")
    assert "\nTraceback (most recent call last):\n" in stream.getvalue()
    assert r"ValueError: inner bad\x1bname" in stream.getvalue()


@pytest.mark.parametrize("value", ["", "  ", "abc"])
def test_what_is_too_short_is_no_secret(value: str) -> None:
    log.register_secret(value)
    assert log.redact("abc  def") == "abc  def"


def test_the_longer_secret_goes_first() -> None:
    log.register_secret("secret")
    log.register_secret("secret-and-more")
    assert log.redact("x secret-and-more y secret z") == "x [redacted] y [redacted] z"


@given(st.text())
def test_escaped_text_is_harmless_and_plain_text_unchanged(text: str) -> None:
    escaped = log.escape_controls(text)
    escaped.encode()
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in escaped)
    if text.isascii() and text.isprintable():
        assert escaped == text


def test_undecodable_names_are_escaped() -> None:
    assert log.escape_controls("a\udcffb") == r"a\udcffb"


def test_a_terminal_reads_sentences(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    stream = Terminal()
    log.configure("info", stream=stream)
    done = {"rows": 888, "rejected": 0, "ticker": "ETH", "quote": "EUR", "interval_minutes": 60, "seconds": 0.61}
    place = str(tmp_path / "ingested/ohlcv")
    logger().info("file_done", file="ETHEUR_60.csv", to=f"{place}/ETHEUR_60.csv", **done)
    logger().info("file_done", file="ETHEUR_60.csv", to=f"{place}/ETHEUR_60.2026.csv", **done | {"rejected": 1})
    logger().warning("file_rejected", file="A_60.csv", reason="no good row", to="/elsewhere/A_60.csv")
    logger().warning("trouble", reason="it is full", where="/srv", remedy="Free some space", again_in_seconds=2.0)
    logger().info("batch_started", files=1, bytes=10, lane="ilp")
    logger().info("file_done", file="of an older version")

    lines = stream.getvalue().splitlines()
    assert all(line[2] == line[5] == ":" for line in lines)
    assert [line[9:] for line in lines] == [
        "ETHEUR_60.csv: 888 candles of ETH/EUR, 60 min, in 0.6 s → ingested/ohlcv",
        "ETHEUR_60.csv: 888 candles of ETH/EUR, 60 min, in 0.6 s → ingested/ohlcv/ETHEUR_60.2026.csv;"
        " 1 bad row set aside in rejected/ETHEUR_60.csv.rows.csv",
        "warning: A_60.csv: refused: no good row → /elsewhere",
        "warning: /srv: it is full. Free some space; tried again in 2 s",
        "file done of an older version",
    ]


def test_a_pipe_gets_each_event_whole() -> None:
    stream = io.StringIO()
    log.configure("info", stream=stream)
    logger().info("batch_started", files=1, bytes=10, lane="ilp")
    assert [event["event"] for event in events(stream)] == ["batch_started"]
