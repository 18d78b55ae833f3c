"""The messages arrive at a real socket, as systemd reads them; without one nothing happens."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from feefifod.notify import Notifier


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        path = str(Path(folder) / "notify")  # Short: a socket's name has a limit that tmp_path may pass.
        receiver.bind(path)
        receiver.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield receiver


@pytest.fixture
def notifier(systemd: socket.socket) -> Iterator[Notifier]:
    notifier = Notifier()
    yield notifier
    notifier.close()


def test_messages(systemd: socket.socket, notifier: Notifier) -> None:
    notifier.ready()
    notifier.status("3 files waiting")
    notifier.watchdog()
    notifier.extend(1.5)
    notifier.stopping()
    assert [systemd.recv(4096) for _ in range(5)] == [
        b"READY=1",
        b"STATUS=3 files waiting",
        b"WATCHDOG=1",
        b"EXTEND_TIMEOUT_USEC=1500000",
        b"STOPPING=1",
    ]


def test_reloading_carries_the_monotonic_time(systemd: socket.socket, notifier: Notifier) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    first, second = systemd.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    name, _, micros = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(micros) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_status_cannot_forge_messages(systemd: socket.socket, notifier: Notifier) -> None:
    notifier.status("loading a\nSTOPPING=1\udcff.csv")
    assert systemd.recv(4096) == b"STATUS=loading a?STOPPING=1?.csv"


def test_a_status_is_utf8_and_short(systemd: socket.socket, notifier: Notifier) -> None:
    notifier.status("täglich → " + "x" * 1000)
    received = systemd.recv(4096).decode()
    assert received.startswith("STATUS=täglich → xxx")
    assert len(received) == len("STATUS=") + 300


def test_an_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"feefifod-test-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name}")
        receiver.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notifier = Notifier()
        notifier.ready()
        assert receiver.recv(4096) == b"READY=1"
        notifier.close()


def test_a_full_queue_or_a_gone_systemd_stops_nothing(systemd: socket.socket, notifier: Notifier) -> None:
    """Nobody reads: the kernel's queue fills up, and sending gives up after a moment instead of hanging."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others:
        others.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:  # How long the queue is differs from machine to machine.
                others.sendto(b"X=1", os.environ["NOTIFY_SOCKET"])
    started = time.monotonic()
    notifier.watchdog()
    assert time.monotonic() - started < 10
    assert systemd.recv(4096) == b"X=1"
    systemd.close()
    notifier.watchdog()


@pytest.mark.parametrize("value", [None, "", "/nowhere/at/all", "nonsense"])
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # sdnotify's, where it cannot connect
def test_the_same_without_systemd(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", value)
    notifier = Notifier()
    notifier.ready()
    notifier.status("x")
    notifier.reloading()
    notifier.extend(1)
    notifier.watchdog()
    notifier.stopping()
    notifier.close()
