"""Who may load what: claims, leases, fences and one owner for a series, on a real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import anyio
import psutil
import pytest

from feefifod.catalog import Claim, Database, Drop, Ending, LeaseLost, Ledger, Loaded, Move
from feefifod.catalog.owner import is_dead, this_owner
from feefifod.model import Category, FileStamp, FileState, Series

_TABLE = "server:1"


def drop(number: int, *, series: int | None = None, size: int = 100, folder: str = "/data") -> Drop:
    """Describe a file; each has a series of its own unless told otherwise."""
    stamp = FileStamp(device=1, inode=2**63 + number, size=size, mtime_ns=number, ctime_ns=number)
    quote = f"Q{number if series is None else series}"
    return Drop(f"{folder}/{number}.csv".encode(), f"{number}.csv", stamp, Series("BTC", Category.CRYPTO, quote, 60))


def paths(drops: Sequence[Drop]) -> list[bytes]:
    return [item.path for item in drops]


async def claim(ledger: Ledger, drops: Sequence[Drop], *, table: str = _TABLE) -> Claim:
    """Register and claim; there must be something to claim."""
    await ledger.register(drops)
    claimed = await ledger.claim(paths(drops), table)
    assert claimed is not None
    return claimed


async def let_leases_end(database: Database) -> None:
    """Let the time of a lease pass, on PostgreSQL's clock."""
    await database.execute("UPDATE file SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL")


async def snapshot(database: Database) -> list[dict[str, object]]:
    """Copy the whole ledger."""
    files = await database.fetch("SELECT * FROM file ORDER BY id")
    batches = await database.fetch("SELECT * FROM batch ORDER BY id")
    return [dict(row) for row in (*files, *batches)]


def proofs(claimed: Claim) -> list[Loaded]:
    return [Loaded(file.id, 10, 0, 0, 100, 200) for file in claimed.files]


async def test_claims_of_two_owners_never_overlap(ledger: Ledger, other: Ledger) -> None:
    drops = [drop(number, series=number // 3) for number in range(60)]
    await ledger.register(drops)
    claimed: list[tuple[str, Claim]] = []

    async def grab(who: Ledger, mine: Sequence[Drop]) -> None:
        result = await who.claim(paths(mine), _TABLE)
        if result is not None:
            claimed.append((who.owner, result))

    async with anyio.create_task_group() as tasks:
        for start in range(0, 60, 6):
            for who in (ledger, other):
                tasks.start_soon(grab, who, drops[start : start + 9])
    ids = [file.id for _, result in claimed for file in result.files]
    assert len(ids) == len(set(ids)) == 60
    assert len({result.fence for _, result in claimed}) == len(claimed)


async def test_series_has_one_owner(ledger: Ledger, other: Ledger) -> None:
    drops = [drop(1, series=1), drop(2, series=1), drop(3, series=2)]
    first = await claim(ledger, drops[:1])
    await other.register(drops)
    second = await other.claim(paths(drops), _TABLE)
    assert second is not None
    assert [file.name for file in second.files] == ["3.csv"], "file 2 waits for the series of file 1"
    assert await other.claim(paths(drops), _TABLE) is None
    await ledger.mark_loaded(first, proofs(first))
    third = await other.claim(paths(drops), _TABLE)
    assert third is not None
    assert [file.name for file in third.files] == ["2.csv"]


async def test_files_of_one_series_are_claimed_together_in_the_order_of_drops(ledger: Ledger) -> None:
    drops = [drop(number, series=1) for number in (3, 1, 2)]
    for item in drops:
        await ledger.register([item])
    claimed = await claim(ledger, drops)
    assert [file.name for file in sorted(claimed.files, key=lambda f: f.id)] == ["3.csv", "1.csv", "2.csv"]


async def test_ended_lease_is_taken_over_with_the_checkpoint(ledger: Ledger, other: Ledger, database: Database) -> None:
    drops = [drop(1), drop(2)]
    mine = await claim(ledger, drops)
    await ledger.checkpoint(mine, 1_700_000_000, {"1/60/Q1": 3}, "ilp")
    assert await other.claim(paths(drops), _TABLE) is None, "the lease holds"
    await let_leases_end(database)
    theirs = await other.claim(paths(drops), _TABLE)
    assert theirs is not None
    assert theirs.batch_id == mine.batch_id
    assert theirs.fence > mine.fence
    assert theirs.checkpoint_seconds == 1_700_000_000
    assert theirs.merged == {"1/60/Q1": 3}
    assert {file.id for file in theirs.files} == {file.id for file in mine.files}


async def test_old_fence_changes_nothing(ledger: Ledger, other: Ledger, database: Database) -> None:
    """A frozen process wakes up after its lease: whatever it does then has no effect."""
    drops = [drop(1), drop(2)]
    mine = await claim(ledger, drops)
    await let_leases_end(database)
    theirs = await other.claim(paths(drops), _TABLE)
    assert theirs is not None
    await other.checkpoint(theirs, 5, {}, "ilp")
    before = await snapshot(database)
    ids = [file.id for file in mine.files]
    for zombie in (
        ledger.renew(mine),
        ledger.checkpoint(mine, 9, {}, "ilp"),
        ledger.mark_loaded(mine, proofs(mine)),
        ledger.mark_ending(mine, [Ending(ids[0], FileState.REJECTED, "no")]),
    ):
        with pytest.raises(LeaseLost):
            await zombie
    await ledger.record_hashes(mine, {ids[0]: b"x" * 32})
    await ledger.mark_irregular(mine, ids)
    await ledger.release(mine, ids, "no")
    await ledger.finish(mine.fence, [Move(ids[0], b"/nowhere")])
    await ledger.finish_batch(mine)
    await ledger.let_go(mine.fence)
    assert await snapshot(database) == before
    await other.mark_loaded(theirs, proofs(theirs))


async def test_renewed_lease_holds(ledger: Ledger, other: Ledger, database: Database) -> None:
    drops = [drop(1)]
    mine = await claim(ledger, drops)
    await let_leases_end(database)
    await ledger.renew(mine)
    assert await other.claim(paths(drops), _TABLE) is None


async def test_dead_process_of_this_host_is_freed_at_once(ledger: Ledger, database: Database) -> None:
    code = "from feefifod.catalog.owner import this_owner; print(this_owner(), flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    neighbour = Ledger(database)
    neighbour.owner = process.stdout.readline().strip()
    drops = [drop(1), drop(2)]
    await claim(neighbour, drops)
    assert not is_dead(neighbour.owner)
    assert await ledger.claim(paths(drops), _TABLE) is None, "it lives"
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(neighbour.owner), "a zombie that nobody reaps holds nothing"
    process.communicate()
    assert is_dead(neighbour.owner)
    claimed = await ledger.claim(paths(drops), _TABLE)
    assert claimed is not None
    assert len(claimed.files) == 2


async def test_process_that_got_a_dead_ones_number_is_not_taken_for_it() -> None:
    me = this_owner()
    assert not is_dead(str(me))
    assert is_dead(str(replace(me, started="17")))
    assert not is_dead(str(replace(me, host="elsewhere", started="17"))), "of other hosts nothing is known"


async def test_wall_clock_that_is_set_kills_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    me = str(this_owner())
    create_time = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: create_time(process) + 3_600)
    assert not is_dead(me)


async def test_claim_that_is_let_go_is_free_at_once(ledger: Ledger, other: Ledger) -> None:
    drops = [drop(1)]
    mine = await claim(ledger, drops)
    await ledger.checkpoint(mine, 7, {}, "ilp")
    await ledger.let_go(mine.fence)
    theirs = await other.claim(paths(drops), _TABLE)
    assert theirs is not None
    assert theirs.checkpoint_seconds == 7


async def test_replaced_file_starts_anew(ledger: Ledger, database: Database) -> None:
    old = drop(1)
    mine = await claim(ledger, [old])
    await ledger.record_hashes(mine, {mine.files[0].id: b"x" * 32})
    new = replace(old, stamp=replace(old.stamp, size=200))
    await ledger.register([new])
    assert (await ledger.find_path(old.path)).stamp == old.stamp, "a living owner keeps its row"  # type: ignore[union-attr]
    await let_leases_end(database)
    await ledger.register([new])
    again = await ledger.claim([new.path], _TABLE)
    assert again is not None
    assert again.batch_id != mine.batch_id
    assert again.files[0].stamp == new.stamp
    assert again.files[0].sha256 is None


async def test_unchanged_file_keeps_what_is_known_of_it(ledger: Ledger, database: Database) -> None:
    mine = await claim(ledger, [drop(1)])
    await ledger.record_hashes(mine, {mine.files[0].id: b"x" * 32})
    await ledger.mark_irregular(mine, [mine.files[0].id])
    await let_leases_end(database)
    again = await claim(ledger, [drop(1)])
    assert again.files[0].sha256 == b"x" * 32
    assert again.files[0].irregular


async def test_checkpoint_says_nothing_about_another_table(ledger: Ledger, other: Ledger, database: Database) -> None:
    mine = await claim(ledger, [drop(1)])
    await ledger.checkpoint(mine, 7, {"a": 1}, "ilp")
    await let_leases_end(database)
    theirs = await other.claim([drop(1).path], "server:2")
    assert theirs is not None
    assert theirs.checkpoint_seconds is None
    assert theirs.merged == {}


async def test_stray_of_an_orphaned_batch_waits_again(ledger: Ledger, other: Ledger, database: Database) -> None:
    drops = [drop(1), drop(2)]
    await claim(ledger, drops)
    await let_leases_end(database)
    theirs = await other.claim([drops[0].path], _TABLE)
    assert theirs is not None
    assert [file.name for file in theirs.files] == ["1.csv"]
    assert (await other.find_path(drops[1].path)).state is FileState.WAITING  # type: ignore[union-attr]


async def test_decided_files_are_adopted_when_their_owner_is_gone(
    ledger: Ledger, other: Ledger, database: Database
) -> None:
    drops = [drop(1), drop(2), drop(3)]
    mine = await claim(ledger, drops)
    await ledger.mark_loaded(mine, proofs(mine)[:2])
    assert (await other.adopt_unmoved())[1] == [], "a living owner moves its files itself"
    await let_leases_end(database)
    fence, records = await other.adopt_unmoved()
    assert [record.name for record in records] == ["1.csv", "2.csv"]
    assert {record.ending for record in records} == {FileState.DONE}
    assert (await ledger.adopt_unmoved())[1] == [], "they have an owner again"
    await ledger.finish(mine.fence, [Move(records[0].id, b"/wrong")])
    await other.finish(fence, [Move(record.id, b"/right") for record in records])
    assert {record["moved_to"] for record in await database.fetch("SELECT * FROM file WHERE state = 'done'")} == {
        b"/right"
    }


async def test_content_is_known_for_its_series_and_its_table_only(ledger: Ledger) -> None:
    loaded = await claim(ledger, [drop(1, series=1)])
    await ledger.record_hashes(loaded, {loaded.files[0].id: b"x" * 32})
    await ledger.mark_loaded(loaded, proofs(loaded))
    cases = [(drop(2, series=1), _TABLE, True), (drop(3, series=2), _TABLE, False), (drop(4, series=1), "new:1", False)]
    for item, table, known in cases:
        claimed = await claim(ledger, [item], table=table)
        ids = [claimed.files[0].id]
        await ledger.record_hashes(claimed, {ids[0]: b"x" * 32})
        assert bool(await ledger.find_known(claimed, ids)) is known
        await ledger.release(claimed, ids, "done with it")


async def test_missing_files_are_forgotten_in_their_folder_only(ledger: Ledger, database: Database) -> None:
    here, gone, elsewhere = drop(1), drop(2), drop(3, folder="/data2")
    working = await claim(ledger, [drop(4)])
    await ledger.register([here, gone, elsewhere])
    await ledger.forget_missing(b"/data", [here.path])
    names = {row["name"] for row in await database.fetch("SELECT name FROM file")}
    assert names == {"1.csv", "3.csv", "4.csv"}
    await ledger.mark_loaded(working, proofs(working))


async def test_empty_claim_leaves_no_batch(ledger: Ledger, database: Database) -> None:
    assert await ledger.claim([b"/data/unknown.csv"], _TABLE) is None
    assert await database.fetch_value("SELECT count(*) FROM batch") == 0


async def test_each_drop_has_its_own_row(ledger: Ledger) -> None:
    """A path can come again and again; what became of it before stays written."""
    for _ in range(3):
        claimed = await claim(ledger, [drop(1)])
        await ledger.mark_loaded(claimed, proofs(claimed))
        await ledger.finish(claimed.fence, [Move(claimed.files[0].id, b"/ingested/1.csv")])
    states, accepted, _ = await ledger.count_states(_TABLE)
    assert states == {FileState.DONE: 3}
    assert accepted == 30
