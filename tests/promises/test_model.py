"""Anything that people do to the folder, in any order, with loads and crashes in between, against a simple model.

The model knows what lies in the folder, what has left it, and which contents lay there while a load was cut. The
promise is about files that become complete, so it says this about the table:

- of all that has left the folder, the best candle of each key is there (see `expect_rows`);
- a content that was complete while a load was cut, and was then changed, renamed or deleted by its owner, may have
  left rows behind: of keys that nothing else has, or that are at least as good as the best candle of what has left;
- nothing else is there, and nothing twice.

A file that somebody still has open for writing is not complete, and no row of it may be there.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import BinaryIO, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.support import samples
from tests.support.checker import Dropped, check_inputs, check_ledger, check_rows, expect_rows
from tests.support.daemon import World
from tests.support.zips import pack

_NAMES: Final = (
    "XBTUSD_1.csv",
    "BTCUSD_1.csv",  # The same series.
    "deep/er/XBTUSD_1.csv",
    "ETHUSD_1.csv",
    "ETHEUR_60.csv",
    "more/ETHEUR_60.csv",
    "XBTUSD_60.csv",
    "ADAUSD_7.csv",  # No such interval.
)
_BAD_LINES: Final = (
    b"1700006401,1,1,1,1,1,1",
    b"1700006400000,1,1,1,1,1,1",
    b"1700006400,1,nan,1,1,1,1",
    b"1700006400,1,1,1,1,1",
    b"1700006400,1,1,1,1,1,1,1",
    b"1700006400,1_0,1,1,1,1,1",
    b"1700006400,1,1,1,1,-1,1",
    b"1700006400,1,1e400,1,1,1,1",
    b"no candle",
)


class Crash(Exception):
    """What nobody foresaw."""


def _bad(content: bytes) -> bytes:
    """Put lines that nobody can use among the good ones."""
    lines = content.splitlines(keepends=True)
    for place, line in enumerate(_BAD_LINES):
        lines.insert(1 + place * len(lines) // len(_BAD_LINES), line + b"\n")
    return b"".join(lines)


_SPOILERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "as it is": lambda content: content,
    "bad lines": _bad,
    "backwards": lambda content: b"".join(content.splitlines(keepends=True)[::-1]),
    "twice": lambda content: content * 2,
    "crlf and a byte order mark": lambda content: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"),
    "header": lambda content: b"time,open,high,low,close,volume,trades\n" + content,
    "cut": lambda content: content[: len(content) * 2 // 3],
    "no end": lambda content: content[:-1],
    "empty": lambda content: b"",
    "blank": lambda content: b"\n \n",
    "no good row": lambda content: b"\n".join(_BAD_LINES) + b"\n",
    "other bytes": lambda content: b"\x1f\x8b\x08\0" + bytes(range(256)),
}

names = st.sampled_from(_NAMES)
contents = st.builds(
    lambda count, interval, start, seed, trades, spoiler: _SPOILERS[spoiler](
        samples.file(count, interval=interval, start=samples.START + start * 3600, seed=seed, trades=trades)
    ),
    count=st.sampled_from((900, 40, 1, 2_500)),
    interval=st.sampled_from((1, 60)),
    start=st.sampled_from((0, 8, 30)),
    seed=st.integers(1, 3),
    trades=st.sampled_from((None, 5, 900)),
    spoiler=st.sampled_from(("as it is",) * 8 + tuple(_SPOILERS)),
)
places = st.integers(0, 7)


class Folder(RuleBasedStateMachine):
    """What may happen to the folder.

    Attributes:
        there: what lies in the folder, whole, by its path in it.
        writers: what somebody is still writing, with what is written already and what will follow.
        gone: what has left the folder.
        cut: what lay in the folder while a load was cut.
    """

    def __init__(self, worlds: Callable[[], AbstractContextManager[World]]) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.world = self._stack.enter_context(worlds())
        self.world.ingest()  # Makes the ledger, which a process that is killed early may not have made.
        self.there: dict[str, bytes] = {}
        self.writers: dict[str, tuple[BinaryIO, bytes, bytes]] = {}
        self.gone: list[Dropped] = []
        self.cut: list[Dropped] = []
        self._number = 0

    def teardown(self) -> None:
        """Load what is left, and look once more."""
        try:
            while self.writers:
                self._close(next(iter(self.writers)))
            self._load_all()
        finally:
            self._stack.close()

    # What people do.

    @rule(name=names, content=contents)
    def move_in(self, name: str, content: bytes) -> None:
        """Also over a file of that name."""
        if name not in self.writers:
            self._draft(content).rename(self._make_room(name))
            self.there[name] = content

    @rule(name=names, content=contents)
    def begin_to_write(self, name: str, content: bytes) -> None:
        if name in self.there or name in self.writers:
            return
        writer = self._make_room(name).open("wb", buffering=0)
        half = len(content) // 2
        writer.write(content[:half])
        self.writers[name] = writer, content[:half], content[half:]

    @precondition(lambda self: self.writers)
    @rule(place=places)
    def write_the_rest(self, place: int) -> None:
        self._close(_pick(self.writers, place))

    @precondition(lambda self: self.there)
    @rule(place=places, content=contents)
    def append(self, place: int, content: bytes) -> None:
        name = _pick(self.there, place)
        with (self.world.data / name).open("ab") as file:
            file.write(content)
        self.there[name] += content

    @precondition(lambda self: self.there)
    @rule(place=places, tenths=st.integers(0, 9))
    def truncate(self, place: int, tenths: int) -> None:
        name = _pick(self.there, place)
        self.there[name] = self.there[name][: len(self.there[name]) * tenths // 10]
        with (self.world.data / name).open("r+b") as file:
            file.truncate(len(self.there[name]))

    @precondition(lambda self: self.there)
    @rule(place=places, name=names)
    def rename(self, place: int, name: str) -> None:
        """Which makes it another series, perhaps in place of another file."""
        source = _pick(self.there, place)
        if name not in self.writers and not source.endswith(".zip"):
            (self.world.data / source).rename(self._make_room(name))
            self.there[name] = self.there.pop(source)

    @precondition(lambda self: self.there)
    @rule(place=places)
    def delete(self, place: int) -> None:
        name = _pick(self.there, place)
        (self.world.data / name).unlink()
        del self.there[name]

    @rule(files=st.dictionaries(names, contents, min_size=1, max_size=3))
    def move_a_folder_in(self, files: dict[str, bytes]) -> None:
        self._number += 1
        folder = self.world.root / "outside" / f"folder-{self._number}"
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
            self.there[f"{folder.name}/{name}"] = content
        folder.rename(self.world.data / folder.name)

    @precondition(lambda self: self.gone)
    @rule(place=places, name=names)
    def drop_again(self, place: int, name: str) -> None:
        """The same content, as the same series or another one."""
        drop = self.gone[place % len(self.gone)]
        self.move_in(f"again-{self._number}/" + name if drop.name == name else name, drop.content)

    @rule(files=st.dictionaries(names, contents, min_size=1, max_size=3), number=st.integers(1, 2))
    def move_a_zip_in(self, files: dict[str, bytes], number: int) -> None:
        self.move_in(f"Kraken_{number}.zip", pack(files))

    # What feefifod does.

    @rule(lane=st.sampled_from(("ilp", "bulk")))
    def load(self, lane: str) -> None:
        self.world.configure(pipeline={"lane": lane})
        self._load_all()

    @precondition(lambda self: self.there)
    @rule(windows=st.integers(0, 4), unforeseen=st.booleans())
    def load_and_stop(self, windows: int, unforeseen: bool) -> None:
        """Stop after some windows, as told, or because of a defect."""
        left = [windows]

        def wanted() -> bool:
            left[0] -= 1
            if left[0] < 0 and unforeseen:
                raise Crash
            return left[0] < 0

        self._cut()
        try:
            self.world.ingest(stop_after=wanted)
        except* Crash:
            pass
        self._see_what_left()
        self._check_after_cut()

    @precondition(lambda self: self.there)
    @rule(seconds=st.sampled_from((0.9, 1.1, 1.3, 1.6)))
    def load_and_be_killed(self, seconds: float) -> None:
        self._cut()
        process = self.world.start("run-once")
        time.sleep(seconds)
        process.kill()
        self._see_what_left()
        self._check_after_cut()

    # The model.

    def _draft(self, content: bytes) -> Path:
        self._number += 1
        draft = self.world.root / "outside" / str(self._number)
        draft.write_bytes(content)
        return draft

    def _make_room(self, name: str) -> Path:
        target = self.world.data / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _close(self, name: str) -> None:
        writer, before, rest = self.writers.pop(name)
        writer.write(rest)
        writer.close()
        self.there[name] = before + rest

    def _cut(self) -> None:
        self.cut += [Dropped(*item) for item in self.there.items()]

    def _see_what_left(self) -> None:
        for name in [name for name in self.there if not (self.world.data / name).exists()]:
            self.gone.append(Dropped(name, self.there.pop(name)))

    def _load_all(self) -> None:
        """Load until nothing is left that is whole: a file that ends in mid-line is judged a moment later."""
        for _ in range(5):
            self.world.ingest()
            self._see_what_left()
            if not self.there:
                break
            time.sleep(0.1)
        assert not self.there, "it is whole, and nobody takes it"
        self._check()

    def _present(self) -> Sequence[Dropped]:
        written = [Dropped(name, before) for name, (_, before, _) in self.writers.items()]
        return [*self.gone, *written, *(Dropped(*item) for item in self.there.items())]

    def _check(self) -> None:
        facts = self.world.facts()
        check_rows(facts.table, expect_rows(self.gone), self.gone, doubtful=self.cut)
        destroyed = {hashlib.sha256(drop.content).digest() for drop in self.cut}
        check_ledger(facts, finished=True, destroyed=destroyed)
        check_inputs(facts, self._present(), self.cut)
        assert facts.leases == 0
        assert self.world.canary not in self.world.logs

    def _check_after_cut(self) -> None:
        facts = self.world.facts()
        check_rows(facts.table, None, [*self.gone, *self.cut])
        check_inputs(facts, self._present(), self.cut)


def _pick(names: dict[str, object] | dict[str, bytes] | dict[str, tuple[BinaryIO, bytes, bytes]], place: int) -> str:
    return sorted(names)[place % len(names)]


_SETTINGS: Final = settings(
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=False,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def test_whatever_is_done_to_the_folder(worlds: Callable[[], AbstractContextManager[World]]) -> None:
    run_state_machine_as_test(
        lambda: Folder(worlds), settings=settings(_SETTINGS, max_examples=10, stateful_step_count=16)
    )


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_whatever_is_done_to_the_folder_for_long(worlds: Callable[[], AbstractContextManager[World]]) -> None:
    run_state_machine_as_test(
        lambda: Folder(worlds),
        settings=settings(_SETTINGS, max_examples=100, stateful_step_count=40, derandomize=False, print_blob=True),
    )
