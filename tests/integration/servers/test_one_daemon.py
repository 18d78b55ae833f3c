"""One daemon per state."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feefifod.errors import ConfigError
from feefifod.servers import hold_daemon, read_daemon

HOLDER = """
import sys
from pathlib import Path
from feefifod.servers import hold_daemon
with hold_daemon(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_second_daemon_is_refused_and_first_named(state: Path) -> None:
    with hold_daemon(state):
        info = read_daemon(state)
        assert info is not None
        assert info.pid == os.getpid()
        assert datetime.now(UTC) - info.since < timedelta(seconds=10)
        with pytest.raises(ConfigError, match=f"pid {os.getpid()}, since 20"), hold_daemon(state):
            pass
    assert read_daemon(state) is None


def test_killed_daemon_is_gone_at_once(state: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        info = read_daemon(state)
        assert info is not None
        assert info.pid == holder.pid
        holder.kill()
        holder.wait()
    assert read_daemon(state) is None
    with hold_daemon(state):
        pass


def test_no_daemon_where_nothing_is(state: Path) -> None:
    assert read_daemon(state) is None
