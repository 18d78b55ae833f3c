"""systemd hears of us only while the event loop turns and the work in flight moves."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import anyio
import pytest
from anyio import to_thread

from feefifod.daemon.watchdog import Watchdog, find_stalled, watchdog_seconds
from feefifod.errors import Unavailable
from feefifod.notify import Notifier
from feefifod.patience import Trouble
from feefifod.pulse import beat, still_for, working

TIMEOUT_SECONDS = 0.15
"""A third of it is 50 ms."""

STALL_SECONDS = 0.2


class Heard(Notifier):
    """A notifier that keeps what it would send, and when."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, str]] = []

    def _send(self, state: str) -> None:
        self.sent.append((time.monotonic(), state))

    def fed_since(self, moment: float) -> int:
        return sum(state == "WATCHDOG=1" and at >= moment for at, state in self.sent)


@pytest.fixture
def heard() -> Iterator[Heard]:
    yield Heard()
    assert still_for() == {}


def make(heard: Heard) -> Watchdog:
    return Watchdog(heard, lambda: "busy", TIMEOUT_SECONDS, STALL_SECONDS)


async def test_it_is_fed_at_a_third_of_its_time(heard: Heard) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(make(heard).run)
        await anyio.sleep(6.5 * TIMEOUT_SECONDS / 3)
        tasks.cancel_scope.cancel()

    assert 3 <= heard.fed_since(0) <= 7


async def test_work_that_moves_keeps_it_fed_and_work_that_hangs_does_not(heard: Heard) -> None:
    """Moving happens in a worker thread, as it does for real."""
    hang = threading.Event()

    def move() -> None:
        for _ in range(30):
            beat()
            time.sleep(0.01)
        hang.wait(5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(make(heard).run)

        async def load() -> None:
            with working("batch 1"):
                await to_thread.run_sync(move)

        tasks.start_soon(load)
        await anyio.sleep(0.3)
        moving = heard.fed_since(0)
        assert find_stalled(STALL_SECONDS) == []
        await anyio.sleep(STALL_SECONDS + 0.1)
        hung = time.monotonic()
        assert find_stalled(STALL_SECONDS) == ["batch 1"]
        await anyio.sleep(4 * TIMEOUT_SECONDS / 3)
        assert heard.fed_since(hung) == 0, "a worker hangs, and systemd is told that all is well"
        assert moving >= 2
        hang.set()
        while still_for():
            await anyio.sleep(0.005)
        done = time.monotonic()
        await anyio.sleep(2 * TIMEOUT_SECONDS / 3 + 0.05)
        assert heard.fed_since(done) >= 1
        tasks.cancel_scope.cancel()


async def test_one_that_moves_does_not_cover_for_one_that_hangs(heard: Heard) -> None:
    async def go_on() -> None:
        with working("batch 2"):
            while True:
                beat()
                await anyio.sleep(0.01)

    async def hang() -> None:
        with working("batch 3"):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go_on)
        tasks.start_soon(hang)
        await anyio.sleep(STALL_SECONDS + 0.05)
        assert find_stalled(STALL_SECONDS) == ["batch 3"]
        tasks.cancel_scope.cancel()


async def test_a_loop_that_stands_still_feeds_nothing(heard: Heard) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(make(heard).run)
        await anyio.sleep(0.02)
        before = time.monotonic()
        time.sleep(0.3)  # On purpose: this is what the watchdog is for.
        assert heard.fed_since(before) == 0
        tasks.cancel_scope.cancel()


async def test_time_to_start_is_asked_for_until_it_has_started(heard: Heard) -> None:
    watchdog = make(heard)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watchdog.run)
        await anyio.sleep(0.02)
        assert "EXTEND_TIMEOUT_USEC=60000000" in [state for _, state in heard.sent]
        assert "STATUS=busy" in [state for _, state in heard.sent]
        watchdog.started.set()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_whether_systemd_watches(environment: dict[str, str], seconds: float | None) -> None:
    assert watchdog_seconds(environment) == seconds


def test_waiting_for_a_server_is_no_standstill() -> None:
    """A restart would not bring the server back."""
    with working("batch 4"):
        time.sleep(0.05)
        assert still_for()["batch 4"] >= 0.05
        Trouble(None)(Unavailable("QuestDB is away"), 2)
        assert still_for()["batch 4"] < 0.05


def test_beats_outside_of_work_mean_nothing() -> None:
    beat()
    assert still_for() == {}
