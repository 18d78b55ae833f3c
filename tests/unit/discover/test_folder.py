"""What is known of the data folder: names are judged once, changes are found by events and without them."""

from __future__ import annotations

import os
import threading
import zipfile
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from feefifod.config import WatchSettings
from feefifod.discover import Folder, Sight
from feefifod.errors import Refused
from feefifod.ingest.candidates import why_name_unwanted
from feefifod.parse.names import Verdict

_WATCH = WatchSettings(settle_seconds=1.0, truncated_seconds=10.0, rescan_seconds=30.0)


class Clock:
    """Both clocks; nothing ages unless it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Known:
    """A folder, what is known of it, and how often a name was judged."""

    def __init__(self, root: Path, watch: WatchSettings = _WATCH) -> None:
        self.root = root
        self.clock = Clock()
        self.judged: list[str] = []
        self._why = partial(why_name_unwanted, watch=watch, tiers={})
        # Change times are those of the real clock: a wall clock far behind never calls a file quiet for them.
        self.folder = Folder(str(root), watch, self._judge, clock=self.clock, wall=lambda: 0.0)

    def _judge(self, verdict: Verdict) -> str:
        self.judged.append(verdict.reason)
        return self._why(verdict)

    def look(self, *changed: str, after: float = 0.0, **options: Any) -> Sight:
        """Look, so many seconds later; `changed` is named as events would."""
        self.clock.now += after
        return self.folder.look([str(self.root / name) for name in changed], **options)

    def names(self, *changed: str, after: float = 0.0, **options: Any) -> list[str]:
        """Look, and name what is complete."""
        return [
            os.path.relpath(found.path, self.root) for found in self.look(*changed, after=after, **options).complete
        ]


@pytest.fixture
def known(tmp_path: Path) -> Known:
    known = Known(tmp_path)
    known.look()
    known.look(after=2.0)  # The second scan, which closes the gap until the watcher is there.
    return known


def _drop(path: Path, text: str = "1,1,1,1,1,1,1\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_names_are_judged_once(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"IMG_{number}.jpg").touch()
    known = Known(tmp_path)
    for _ in range(5):
        known.look(after=40.0)
    assert len(known.judged) == 100
    assert known.folder.ignored == {"not an OHLCVT name; expected PAIR_MINUTES.csv": 100}
    assert known.folder.wanted == 0


def test_ignored_files_are_counted_as_they_come_and_go(known: Known) -> None:
    for name in ("a.jpg", "b.jpg", "XBTUSD_60.csv.part"):
        (known.root / name).touch()
    known.look("a.jpg", "b.jpg", "XBTUSD_60.csv.part")
    assert sorted(known.folder.ignored.values()) == [1, 2]
    (known.root / "a.jpg").unlink()
    known.look("a.jpg")
    assert sorted(known.folder.ignored.values()) == [1, 1]
    (known.root / "b.jpg").unlink()
    (known.root / "XBTUSD_60.csv.part").unlink()
    known.look(after=40.0)
    assert not known.folder.ignored, "a scan finds what no event told of"


def test_link_and_pipe_are_counted_and_read_once_they_are_files(known: Known) -> None:
    os.mkfifo(known.root / "XBTUSD_60.csv")
    (known.root / "ETHUSD_60.csv").symlink_to("/dev/null")
    known.look("XBTUSD_60.csv", "ETHUSD_60.csv")
    assert sorted(known.folder.ignored.values()) == [1, 1]
    assert known.folder.wanted == 0
    for name in ("XBTUSD_60.csv", "ETHUSD_60.csv"):
        (known.root / name).unlink()
        _drop(known.root / name)
    known.look("XBTUSD_60.csv", "ETHUSD_60.csv")
    assert not known.folder.ignored
    assert known.names(after=1.1) == ["ETHUSD_60.csv", "XBTUSD_60.csv"]


@pytest.mark.parametrize("told", [True, False])
def test_file_is_complete_when_it_is_quiet(known: Known, told: bool) -> None:
    _drop(known.root / "XBTUSD_60.csv")
    sight = known.look("XBTUSD_60.csv") if told else known.look(after=40.0)
    assert sight.scanned is not told
    assert not sight.complete
    assert sight.due_seconds == pytest.approx(1.0, abs=0.1)
    assert known.names(after=1.1) == ["XBTUSD_60.csv"]
    assert known.names(after=1.1) == ["XBTUSD_60.csv"], "as long as it is there"
    (known.root / "XBTUSD_60.csv").unlink()
    assert known.names("XBTUSD_60.csv") == []
    assert known.folder.take_gone() == {str(known.root / "XBTUSD_60.csv")}


def test_change_without_an_event_is_seen_before_it_is_taken(known: Known) -> None:
    """The names that are ready were judged a while ago; the one who wants to take them asks again."""
    path = known.root / "XBTUSD_60.csv"
    _drop(path)
    known.look("XBTUSD_60.csv")
    assert known.names(after=1.1) == ["XBTUSD_60.csv"]
    known.clock.now += 5.0
    assert known.folder.confirm([str(path)]) == {str(path)}
    with path.open("a") as file:
        known.clock.now += 5.0
        assert known.folder.confirm([str(path)]) == set(), "somebody has it open for writing"
        file.write("61,1,1,1,1,1,1\n")
    assert known.names() == []
    known.clock.now += 5.0
    assert known.names() == [], "it has changed"
    assert known.names(after=1.1) == ["XBTUSD_60.csv"]


def test_files_in_work_are_judged_when_they_are_released(known: Known) -> None:
    path = str(known.root / "XBTUSD_60.csv")
    _drop(Path(path))
    known.look("XBTUSD_60.csv")
    known.look(after=1.1)
    busy = {path}
    assert known.names("XBTUSD_60.csv", busy=busy) == []
    assert known.names(after=40.0, busy=busy) == []
    assert known.names(released=[path]) == ["XBTUSD_60.csv"], "it was given back"
    Path(path).unlink()
    assert known.names("XBTUSD_60.csv", busy=busy) == []
    assert known.names(released=[path]) == []
    assert not known.folder.take_gone(), "it has come to its end, and is not missing"


def test_folders_that_come_go_and_are_renamed(known: Known) -> None:
    outside = known.root.parent / f"{known.root.name}-outside"
    _drop(outside / "deep" / "XBTUSD_60.csv")
    _drop(outside / "note.txt")
    outside.rename(known.root / "q1")
    known.look("q1")
    assert known.names(after=1.1) == ["q1/deep/XBTUSD_60.csv"]
    (known.root / "q1").rename(known.root / "q2")
    known.look("q1", "q2")
    known.look(after=60.0)
    assert known.names(after=1.1) == ["q2/deep/XBTUSD_60.csv"]
    assert sum(known.folder.ignored.values()) == 1
    (known.root / "q2").rename(outside)
    assert known.names("q2", after=60.0) == []
    assert known.names(after=60.0) == []
    assert not known.folder.ignored


def test_name_that_turns_into_a_folder_is_looked_into(known: Known) -> None:
    (known.root / "pictures").touch()
    known.look("pictures")
    (known.root / "pictures").unlink()
    _drop(known.root / "pictures" / "XBTUSD_60.csv")
    known.look(after=40.0)
    assert known.names(after=1.1) == ["pictures/XBTUSD_60.csv"]
    assert not known.folder.ignored


def test_hidden_folders_are_not_looked_into(known: Known) -> None:
    _drop(known.root / ".hidden" / "XBTUSD_60.csv")
    _drop(known.root / "__MACOSX" / "XBTUSD_60.csv")
    known.look(".hidden", ".hidden/XBTUSD_60.csv", "__MACOSX", "__MACOSX/XBTUSD_60.csv")
    known.look(after=40.0)
    assert known.names(after=1.1) == []
    assert not known.folder.ignored


def test_parts_of_a_zip_are_one(known: Known) -> None:
    with zipfile.ZipFile(known.root / "draft.tmp", "w") as archive:
        archive.writestr("XBTUSD_60.csv", "1,1,1,1,1,1,1\n")
    whole = (known.root / "draft.tmp").read_bytes()
    for number, content in ((1, whole[50:]), (0, whole[:50])):
        (known.root / f"kraken.zip.part{number:02}").write_bytes(content)
        known.look(f"kraken.zip.part{number:02}")
    assert known.folder.wanted == 1
    [found] = known.look(after=1.1).complete
    assert [Path(part.path).name for part in found.parts] == ["kraken.zip.part00", "kraken.zip.part01"]
    (known.root / "kraken.zip.part00").unlink()
    assert known.names("kraken.zip.part00") == []
    (known.root / "kraken.zip.part01").unlink()
    known.look("kraken.zip.part01")
    assert known.folder.wanted == 0


def test_work_for_a_look_does_not_grow_with_what_waits(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand files that end in mid-line are looked at when they may be done, not at every event."""
    for number in range(1000):
        _drop(known.root / str(number) / "XBTUSD_60.csv", "1,1,1,1,1,1,1")
    known.look(after=40.0)
    known.look(after=1.1)
    calls: list[str] = []
    real: Callable[..., os.stat_result] = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: calls.append(path) or real(path))  # type: ignore[func-returns-value]
    for number in range(50):
        known.look(f"new-{number}.jpg", after=0.01)
    assert len(calls) == 50


def test_scans_keep_to_their_share_of_the_time(tmp_path: Path) -> None:
    """A scan that takes long is made more rarely, however often somebody asks for it."""
    known = Known(tmp_path)
    times: list[float] = []
    seconds = iter([0.0, 2.0] * 100)  # What `thread_time` says before and after: each scan takes two seconds.

    def work() -> None:
        times.extend(known.clock.now for _ in range(300) if known.look(after=1.0, lost=True).scanned)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("feefifod.discover.folder.time.thread_time", lambda: next(seconds))
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(times) > 1
    assert all(after - before >= 100 for before, after in pairwise(times))


def test_folder_that_is_away_is_said_until_it_is_back(known: Known) -> None:
    known.root.rmdir()
    with pytest.raises(Refused, match="cannot be listed"):
        known.look(str(known.root), after=40.0)
    with pytest.raises(Refused):
        known.look()
    before = known.folder.identity
    known.root.mkdir()
    _drop(known.root / "XBTUSD_60.csv")
    known.look()
    assert known.names(after=1.1) == ["XBTUSD_60.csv"]
    assert before is not None
    assert known.folder.identity is not None
