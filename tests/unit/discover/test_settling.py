"""When a file counts as complete: a slow reference over whole histories, and the kernel's own answers."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feefifod.config.settings import WatchSettings
from feefifod.discover import Found, Settler, look_at, settle
from feefifod.model import FileStamp

_SETTLE, _TRUNCATED = 1.0, 60.0
_WATCH = WatchSettings(settle_seconds=_SETTLE, truncated_seconds=_TRUNCATED)
_NAME = "XBTUSD_60.csv"


class Clocks:
    """Time as a test wants it: monotonic, and the wall's, which may jump."""

    def __init__(self) -> None:
        self.monotonic = 100.0
        self.jump = 0.0

    def clock(self) -> float:
        return self.monotonic

    def wall(self) -> float:
        return 1_700_000_000 + self.monotonic + self.jump


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def settler(clocks: Clocks) -> Settler:
    return Settler(_WATCH, clock=clocks.clock, wall=clocks.wall)


def put(folder: Path, content: bytes, *, name: str = _NAME) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def find(path: Path, clocks: Clocks, *, age: float = 0.0) -> Found:
    """Look at a file, and set the wall's clock to so many seconds after its change."""
    found = look_at(str(path.parent), str(path))
    assert found.stamp is not None
    clocks.jump += found.stamp.ctime_ns / 1e9 + age - clocks.wall()
    return found


@dataclass(frozen=True)
class Look:
    """A look after so many seconds, at a file that changed before it or not, on a wall clock that jumped or not."""

    after: float
    changed: bool
    jump: float


_LOOKS = st.lists(
    st.builds(
        Look,
        after=st.sampled_from((0.0, 0.1, 0.4, 0.9, 1.0, 1.1, 30.0)),
        changed=st.booleans(),
        jump=st.sampled_from((0.0, 0.0, 0.0, 86_400.0, -86_400.0)),
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(_LOOKS)
def test_complete_is_what_was_quiet_for_the_settle_time(looks: list[Look]) -> None:
    """Against a reference that knows the whole history: quiet by the monotonic clock, or by a change time long ago."""
    clocks = Clocks()
    settler = Settler(_WATCH, clock=clocks.clock, wall=clocks.wall)
    judged: list[tuple[bool, bool]] = []
    stamp_time, seen_since = clocks.wall(), None
    for look in looks:
        clocks.monotonic += look.after
        clocks.jump += look.jump
        if look.changed:
            stamp_time, seen_since = clocks.wall(), None
        if seen_since is None:
            seen_since = clocks.monotonic
        stamp = FileStamp(1, 1, 10, 0, int(stamp_time * 1e9))
        found = Found("/nowhere", stamp, look_at("/", "/").verdict, "")
        settlement = settler.judge([found])["/nowhere"]
        quiet = max(clocks.monotonic - seen_since, clocks.wall() - stamp_time)
        # The file is not there, so a quiet one is looked into and found gone: that is how far it got.
        judged.append((settlement.wait_seconds == _SETTLE and not settlement.complete, quiet >= _SETTLE - 1e-6))
        if quiet < _SETTLE - 1e-6:
            assert settlement.wait_seconds == pytest.approx(_SETTLE - quiet, abs=1e-5)
    assert all(looked_into for looked_into, quiet in judged if quiet)


def test_quiet_file_is_complete_at_the_first_look(tmp_path: Path, settler: Settler, clocks: Clocks) -> None:
    """Twenty thousand files that came while nobody watched have settled long ago."""
    path = put(tmp_path, b"1,2\n")
    assert settler.judge([find(path, clocks, age=5)])[str(path)].complete


def test_every_change_begins_the_wait_anew(tmp_path: Path, settler: Settler, clocks: Clocks) -> None:
    for row in range(5):
        path = put(tmp_path, b"1,2\n" * (row + 1))
        assert not settler.judge([find(path, clocks)])[str(path)].complete
        clocks.monotonic += 0.9
    path = put(tmp_path, b"1,2\n")
    last = find(path, clocks)
    assert not settler.judge([last])[str(path)].complete
    clocks.monotonic += 1.0
    assert settler.judge([last])[str(path)].complete


def test_change_time_in_the_future_proves_nothing(tmp_path: Path, settler: Settler, clocks: Clocks) -> None:
    path = put(tmp_path, b"1,2\n")
    found = find(path, clocks, age=-86_400)
    assert not settler.judge([found])[str(path)].complete
    clocks.monotonic += 1.0
    assert settler.judge([found])[str(path)].complete


def test_forgotten_file_begins_anew(tmp_path: Path, settler: Settler, clocks: Clocks) -> None:
    path = put(tmp_path, b"1,2\n")
    found = find(path, clocks, age=-10)
    settler.judge([found])
    clocks.monotonic += 0.9
    settler.judge([])
    clocks.monotonic += 0.9
    assert not settler.judge([found])[str(path)].complete


@pytest.mark.parametrize(("content", "why"), [(b"", "empty"), (b"1,2\n3,4", "not terminated")])
def test_broken_ending_is_judged_late(
    tmp_path: Path, settler: Settler, clocks: Clocks, content: bytes, why: str
) -> None:
    path = put(tmp_path, content)
    found = find(path, clocks)
    clocks.monotonic += _TRUNCATED - 0.5
    settlement = settler.judge([found])[str(path)]
    assert not settlement.complete
    assert why in settlement.reason
    assert 0 < settlement.wait_seconds <= 5
    clocks.monotonic += 0.5
    assert settler.judge([found])[str(path)].complete


def test_hard_link_waits_until_its_name_is_the_only_one(tmp_path: Path, settler: Settler, clocks: Clocks) -> None:
    path = put(tmp_path, b"1,2\n")
    (tmp_path / "other").hardlink_to(path)
    found = find(path, clocks, age=10)
    settlement = settler.judge([found])[str(path)]
    assert not settlement.complete
    assert "hard link" in settlement.reason
    (tmp_path / "other").unlink()
    assert settler.judge([find(path, clocks, age=10)])[str(path)].complete


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """Another process that holds a file open for writing, until its input ends."""
    path = put(tmp_path, b"1,2\n")
    code = "import sys; file = open(sys.argv[1], 'ab'); print(flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield path, process
    process.kill()
    process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who writes")
def test_stalled_writer_keeps_its_file(
    writer: tuple[Path, subprocess.Popen[bytes]], settler: Settler, clocks: Clocks
) -> None:
    """A copy that pauses for longer than any settle time is no complete file."""
    path, process = writer

    def judge() -> bool:
        found = look_at(str(path.parent), str(path))
        clocks.jump += 3_600
        return settler.judge([found])[str(path)].complete

    clocks.jump += 10 * 365 * 86_400
    assert not judge()
    assert not judge()
    process.kill()
    process.wait()
    assert judge()


def test_file_that_changed_since_it_was_found_is_not_complete(tmp_path: Path, settler: Settler, clocks: Clocks) -> None:
    path = put(tmp_path, b"1,2\n")
    found = look_at(str(tmp_path), str(path))
    clocks.jump += 10 * 365 * 86_400
    with path.open("ab") as file:
        file.write(b"3,4\n")
    assert not settler.judge([found])[str(path)].complete


def test_link_put_in_place_of_a_file_is_never_followed(tmp_path: Path, settler: Settler, clocks: Clocks) -> None:
    path = put(tmp_path, b"1,2\n")
    secret = put(tmp_path, b"3,4\n", name="secret")
    found = look_at(str(tmp_path), str(path))
    path.unlink()
    path.symlink_to(secret)
    clocks.jump += 10 * 365 * 86_400
    assert not settler.judge([found])[str(path)].complete


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/etc/passwd"), lambda path: path.mkdir()])
def test_only_regular_files_are_judged(tmp_path: Path, settler: Settler, make: object) -> None:
    path = tmp_path / _NAME
    make(path)  # type: ignore[operator]  # Each of them makes something at a path.
    found = look_at(str(tmp_path), str(path))
    assert found.stamp is None
    assert found.obstacle
    assert settler.judge([found]) == {}


@pytest.mark.parametrize(
    ("system", "code", "written"),
    [
        ("ext4", errno.EAGAIN, True),
        ("fuse.rclone", errno.EAGAIN, True),
        ("nfs4", errno.EAGAIN, False),
        ("cifs", errno.EAGAIN, False),
        ("exfat", errno.EINVAL, False),
        ("vboxsf", errno.ENOLCK, False),
    ],
)
def test_refused_lease_speaks_of_a_writer_only_where_the_kernel_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, code: int, written: bool
) -> None:
    """A server that delegates nothing refuses all leases; without this no file of CIFS or NFS would be complete."""

    def refuse(fd: int, command: int, argument: int = 0) -> int:
        raise OSError(code, os.strerror(code))

    fd = os.open(put(tmp_path, b"1\n"), os.O_RDONLY)
    monkeypatch.setattr(settle.fcntl, "fcntl", refuse)
    monkeypatch.setattr(settle, "find_file_system", lambda _: system)
    try:
        assert settle.has_writer(fd) is written
    finally:
        os.close(fd)


def test_file_system_is_known_by_its_device() -> None:
    assert settle.find_file_system(Path("/proc").stat().st_dev) == "proc"
    assert settle.find_file_system(os.makedev(4000, 7)) == ""
