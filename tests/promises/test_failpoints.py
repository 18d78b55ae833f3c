"""The process dies just before or just after each step; a plain second run finds its way, and nobody has to help."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from feefifod.failpoint import EXIT_CODE, VARIABLE, Step
from tests.support import samples
from tests.support.checker import Dropped, check_rows, expect_rows
from tests.support.daemon import World
from tests.support.disks import MIB, small_disk
from tests.support.forking import fork
from tests.support.plain_disk import plain_disk
from tests.support.zips import pack, split

_MEMBERS: Final = {
    "XBTUSD_60.csv": samples.file(300, interval=60, seed=1),
    "ETHEUR_60.csv": samples.file(200, interval=60, seed=2),
    "SOLUSD_60.csv": b"1,1,1,1,1,1,1\n",
}


@cache
def _perfect(seed: int) -> bytes:
    return samples.file(2_500, seed=seed)


def _drop_perfect(world: World) -> None:
    world.drop("XBTUSD_1.csv", _perfect(1))
    world.drop("ETHUSD_1.csv", _perfect(2))


def _drop_irregular(world: World) -> None:
    """A bad row that the sweep meets in the middle, and a file that is out of order."""
    lines = samples.rows(2_500, seed=3)
    world.drop("XBTUSD_1.csv", samples.text([*lines[:1_500], "1700006400,bad,1,1,1,1,1", *lines[1_500:]]))
    random.Random(4).shuffle(lines)
    world.drop("ETHUSD_1.csv", samples.text(lines))


def _drop_hopeless(world: World) -> None:
    """No good row at all, beside a good file; and a name that is refused."""
    world.drop("XBTUSD_60.csv", samples.text([line.replace(",", ",-", 1) for line in samples.rows(40, interval=60)]))
    world.drop("ETHUSD_60.csv", samples.file(30, interval=60))
    world.drop("XBTUSD_7.csv", b"1,1,1,1,1,1,1\n")


def _drop_empty(world: World) -> None:
    world.drop("XBTUSD_60.csv", b"time,open,high,low,close,volume,trades\n")
    world.drop("ETHUSD_60.csv", b"")
    world.drop("SOLUSD_60.csv", samples.file(30, interval=60))


def _drop_again(world: World) -> None:
    world.drop("XBTUSD_60.csv", samples.file(50, interval=60))
    world.ingest()
    world.drop("XBTUSD_60.csv", samples.file(50, interval=60))
    world.drop("again/XBTUSD_60.csv", samples.file(50, interval=60))


def _drop_zip(world: World) -> None:
    world.drop("Q.zip", pack(_MEMBERS))


def _drop_parts(world: World) -> None:
    for number, piece in enumerate(split(pack(_MEMBERS), 3)):
        world.drop(f"Q.zip.part{number:02}", piece)


@dataclass(frozen=True)
class Case:
    """Where the process dies: at the n-th passing of a step, with these files, by this lane, on one disk or several.

    `plain` disks have no hard links and no rename that refuses to overwrite.
    """

    drop: Callable[[World], None]
    step: Step
    number: int = 1
    lane: str = "ilp"
    disks: bool = False
    plain: bool = False

    def __str__(self) -> str:
        disks = "-other-disks" if self.disks else "-plain-disks" if self.plain else ""
        return f"{self.drop.__name__.removeprefix('_drop_')}-{self.lane}-{self.step}-{self.number}{disks}"


def _cases() -> list[Case]:
    one, cases = Step, []
    plain = (
        *(one.TABLE_MADE, one.REGISTERING, one.REGISTERED, one.CLAIMING, one.CLAIMED, one.HASHING, one.HASHED),
        *(one.ASSETS_MADE, one.PROVING, one.APPLIED, one.PROVED, one.RECORDED, one.RENAMING, one.RENAMED),
        *(one.SYNCED, one.FINISHED, one.CLOSED),
    )
    cases += [Case(_drop_perfect, step) for step in plain]
    sending = (one.SENDING, one.ACKNOWLEDGED, one.CHECKPOINTED)
    cases += [Case(_drop_perfect, step, 2, lane) for step in sending for lane in ("ilp", "bulk")]
    cases += [Case(_drop_perfect, step, 2, "bulk") for step in (one.PARQUET_WRITTEN, one.INSERTED)]
    cases += [Case(_drop_perfect, one.RENAMED, 2)]
    cases += [Case(_drop_irregular, step) for step in (one.WITHDRAWING, one.WITHDRAWN, one.ROWS_KEPT)]
    cases += [Case(_drop_irregular, one.ORDERED, number) for number in (1, 2)]
    refusing = (one.NAME_REFUSED, one.DECIDING, one.DECIDED, one.REASON_WRITTEN, one.RENAMED, one.FINISHED)
    cases += [Case(_drop_hopeless, step) for step in refusing]
    cases += [Case(_drop_hopeless, one.REASON_WRITTEN, 2)]
    cases += [Case(_drop_empty, step) for step in (one.DECIDED, one.DELETING, one.DELETED)]
    cases += [Case(_drop_again, step) for step in (one.DECIDED, one.RENAMED, one.FINISHED)]
    unpacking = (one.ZIP_CLAIMED, one.ZIP_HASHED, one.ZIP_UNPACKED, one.REGISTERED, one.COPIES_DELETED, one.FINISHED)
    cases += [Case(_drop_zip, step) for step in (*unpacking, one.ZIP_DECIDED, one.SCRATCH_CLEARED)]
    cases += [Case(_drop_zip, one.MEMBER_UNPACKED, 2), Case(_drop_zip, one.RENAMED, 2)]
    cases += [Case(_drop_parts, one.RENAMED, number) for number in (2, 3)]
    copying = (one.COPIED, one.LINKED, one.SOURCE_REMOVED)
    cases += [Case(_drop_perfect, step, disks=True) for step in copying]
    cases += [Case(_drop_irregular, step, disks=True) for step in copying[1:]]
    cases += [Case(_drop_hopeless, step, disks=True) for step in (*copying[1:], one.REASON_WRITTEN)]
    cases += [Case(_drop_hopeless, step, plain=True) for step in (*copying, one.RESERVED)]
    cases += [Case(_drop_perfect, one.RESERVED, 2, plain=True)]
    return cases


CASES: Final = _cases()


def test_every_step_is_reached() -> None:
    """Each case below asserts that its step was the end of the process; a copy's own steps: see `test_repartition`."""
    assert {case.step for case in CASES} == {step for step in Step if not step.startswith("copy-")}


def test_variable_ends_a_command(world: World) -> None:
    """The other tests fork their processes, which is faster and not quite what an operator sees."""
    _drop_perfect(world)
    world.run("run-once", code=EXIT_CODE, **{VARIABLE: f"{Step.RENAMED}:2"})
    assert world.states() == {"moving": 2}
    world.run("run-once")
    world.check()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_second_run_finishes_what_the_first_one_began(world: World, case: Case) -> None:
    world.configure(pipeline={"lane": case.lane, "window_rows": 1_000})
    with ExitStack() as stack:
        if case.disks:
            for folder in (world.root / "ingested", world.rejected):
                stack.enter_context(small_disk(folder, 8 * MIB))
        if case.plain:
            for folder in (world.root / "ingested", world.rejected):
                stack.enter_context(plain_disk(folder))
        case.drop(world)
        first = fork(world, "run-once", **{VARIABLE: f"{case.step}:{case.number}"})
        assert first.wait() == EXIT_CODE, first.text[-3000:]

        world.ingest()
        if case.drop in (_drop_zip, _drop_parts):
            _check_zip(world)
        else:
            world.check()
        _check_tidy(world, first.pid)


def _check_zip(world: World) -> None:
    """The members are in the table, the zip is in `ingested/zips`, and the hopeless member among the refused."""
    dropped = [Dropped(name, content) for name, content in _MEMBERS.items()]
    facts = world.facts()
    check_rows(facts.table, expect_rows(dropped), dropped)
    assert facts.leases == 0
    assert {row["state"] for row in facts.ledger} == {"done", "rejected"}
    folder = world.root / "ingested" / "zips"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        drop.name: drop.content for drop in world.dropped
    }
    assert {path.name for path in world.rejected.iterdir()} >= {"SOLUSD_60.csv", "SOLUSD_60.csv.reason.json"}


def _check_tidy(world: World, dead: int) -> None:
    """Nothing is left to do, and nothing lies about."""
    places = (world.data, world.scratch, world.root / "ingested", world.rejected)
    left = [path for place in places[:2] for path in place.rglob("*") if path.is_file()]
    drafts = [path for place in places[2:] for path in place.rglob(".*") if path.is_file()]
    frames = list(Path(world.questdb["import_dir"]).glob(f"feefifod-*-{dead}-*.parquet"))
    assert not (left + drafts + frames)
