"""The table copied into another partitioning: killed anywhere, beside a daemon and readers, and refused in time."""

from __future__ import annotations

import itertools
import threading
import urllib.error
from pathlib import Path
from typing import Any, Final

import pytest

from feefifod.failpoint import EXIT_CODE, VARIABLE, Step
from tests.support import samples
from tests.support.daemon import World, describe, wait_until
from tests.support.disks import MIB, fill, free, small_disk
from tests.support.embedded import query, run_pair, unique_name
from tests.support.forking import fork

COMMAND: Final = ("setup-questdb-schema", "--partition-by", "MONTH", "--yes")
STEPS: Final = [step for step in Step if step.startswith("copy-")]
_OTHER_HOST: Final = "elsewhere.1a2b3c4d.5/77/12345/aaaa"


def _load(world: World) -> None:
    """Two files of a hundred days, and rows of an API, which no archive could give back."""
    world.configure(databases={"questdb": {**world.questdb, "partition_by": "DAY"}})
    for seed, name in enumerate(("XBTUSD_1440.csv", "ETHEUR_1440.csv")):
        world.drop(name, samples.file(100, interval=1440, seed=seed))
    world.ingest()
    _insert_from_api(world, "2023-12-05T00:00:00.000000Z", 3)


def _insert_from_api(world: World, start: str, count: int) -> None:
    query(
        world.questdb_url,
        f"INSERT INTO {world.table} SELECT 1, timestamp_sequence('{start}', 86400000000L),"
        f" 1.1, 2.5, 0.1, 0.30000000000000004, 12.5, 1440, null, 'USD', 'massive' FROM long_sequence({count})",
    )
    wait_until(lambda: _pending(world) == 0, what="the rows of the API")


def _pending(world: World) -> int:
    sql = f"SELECT sequencerTxn - writerTxn FROM wal_tables() WHERE name = '{world.table}'"
    return int(query(world.questdb_url, sql)["dataset"][0][0])


def _read(world: World) -> list[list[Any]]:
    """Read every row, to the last bit, in an order that no partitioning changes."""
    sql = (
        "SELECT time, asset_id, interval_minutes, source, quote_currency, open, high, low, close, volume, trade_count"
        f" FROM {world.table} ORDER BY time, asset_id, interval_minutes, source, quote_currency"
    )
    rows: list[list[Any]] = query(world.questdb_url, sql)["dataset"]
    return rows


def _partitioning(world: World) -> str:
    sql = f"SELECT partitionBy FROM tables() WHERE table_name = '{world.table}'"
    return str(query(world.questdb_url, sql)["dataset"][0][0])


def _identity(world: World) -> str:
    [[server]] = query(world.questdb_url, "SELECT server_id FROM feefifod_server LIMIT 1")["dataset"]
    [[number]] = query(world.questdb_url, f"SELECT id FROM tables() WHERE table_name = '{world.table}'")["dataset"]
    return f"{server}:{number}"


def _check_copied(world: World, rows: list[list[Any]], *, partition_by: str = "MONTH") -> None:
    """The rows are the same, the ledger counts for the copy, and nothing is left of the old table."""
    assert _partitioning(world) == partition_by
    assert _read(world) == rows
    assert {row["table_id"] for row in world.ask("SELECT DISTINCT table_id FROM file WHERE state = 'done'")} == {
        _identity(world)
    }
    numbers = [row["from_id"].rpartition(":")[2] for row in world.ask("SELECT from_id FROM table_copy")]
    left = [name for [name] in query(world.questdb_url, "SELECT table_name FROM tables()")["dataset"]]
    assert not [name for name in left if any(name.endswith(f"_{number}") for number in numbers if "feefifod" in name)]
    assert not world.ask("SELECT id FROM table_copy WHERE state NOT IN ('done', 'given up') OR lease_until > now()")
    assert not world.ask("SELECT fence FROM table_use")
    world.run("verify")


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_killed_at_any_step_the_same_command_finishes_it(world: World, step: Step) -> None:
    _load(world)
    rows = _read(world)
    number = 2 if step in {Step.COPY_INSERTED, Step.COPY_PROVED} else 1
    first = fork(world, *COMMAND, **{VARIABLE: f"{step}:{number}"})
    assert first.wait() == EXIT_CODE, first.text[-3000:]

    again = world.run(*COMMAND)

    assert "by MONTH" in again.text
    _check_copied(world, rows)


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_killed_at_any_step_another_command_goes_on(world: World, step: Step) -> None:
    """Whatever comes next finds the table with all its rows, and what it loads is in the copy at the end."""
    _load(world)
    rows = _read(world)
    number = 2 if step in {Step.COPY_INSERTED, Step.COPY_PROVED} else 1
    first = fork(world, *COMMAND, **{VARIABLE: f"{step}:{number}"})
    assert first.wait() == EXIT_CODE, first.text[-3000:]

    world.drop("SOLUSD_1440.csv", samples.file(60, interval=1440, seed=7))
    summary = world.ingest()
    assert not summary.failed, summary
    assert world.states() == {"done": 3}
    now = _read(world)
    assert len(now) == len(rows) + 60
    assert [row for row in now if row in rows] == rows

    world.run(*COMMAND)
    _check_copied(world, now)


def test_every_partitioning_into_every_other(world: World) -> None:
    _load(world)
    rows = _read(world)
    units = ("DAY", "WEEK", "MONTH", "YEAR")
    here = "DAY"
    wanted = {(one, two) for one, two in itertools.permutations(units, 2)}
    while wanted:
        there = next((two for one, two in sorted(wanted) if one == here), None)
        there = there or next(two for two in units if any(one == two for one, _ in wanted) and two != here)
        done = fork(world, *COMMAND[:2], there, "--yes")
        assert done.wait() == 0, done.text[-3000:]
        assert _partitioning(world) == there
        assert _read(world) == rows
        wanted.discard((here, there))
        here = there
    _check_copied(world, rows, partition_by=here)


def test_daemon_beside_it_waits_and_goes_on_by_itself(world: World) -> None:
    _load(world)
    rows = _read(world)
    daemon = world.start()
    daemon.wait_for("watching")
    world.ask(
        "INSERT INTO table_use VALUES (nextval('fence'), $1, 'something', $2, now() + interval '1 hour')",
        _identity(world),
        _OTHER_HOST,
    )
    copier = world.start(*COMMAND)
    copier.wait_for("copy_waits")
    world.drop("SOLUSD_1440.csv", samples.file(60, interval=1440, seed=7))
    daemon.wait_for("copy_awaited")
    assert world.states() == {"done": 2, "waiting": 1}

    world.ask("DELETE FROM table_use WHERE owner = $1", _OTHER_HOST)
    assert copier.wait() == 0, copier.text[-3000:]
    world.wait_finished(3)
    daemon.stop()

    now = _read(world)
    assert len(now) == len(rows) + 60
    _check_copied(world, now)
    assert "rows_missing" not in daemon.text
    assert "fell_back" not in daemon.text


@pytest.mark.parametrize("step", [Step.COPY_INSERTED, Step.COPY_SET_ASIDE, Step.COPY_RENAMED, Step.COPY_BOUND], ids=str)
def test_daemon_beside_one_that_is_killed_needs_nobody(world: World, step: Step) -> None:
    """Where names were being changed the daemon finishes that; it never makes an empty table in the gap."""
    _load(world)
    rows = _read(world)
    daemon = world.start()
    daemon.wait_for("watching")
    copier = fork(world, *COMMAND, **{VARIABLE: step})
    assert copier.wait() == EXIT_CODE, copier.text[-3000:]

    world.drop("SOLUSD_1440.csv", samples.file(60, interval=1440, seed=7))
    world.wait_finished(3)
    daemon.stop()

    now = _read(world)
    assert [row for row in now if row in rows] == rows
    assert len(now) == len(rows) + 60
    world.run(*COMMAND)
    _check_copied(world, now)


def test_a_load_on_its_way_is_waited_for(world: World) -> None:
    """Not the batch waits for the copy, but the copy for the batch; none of its rows is missed."""
    _load(world)
    world.configure(pipeline={"window_rows": 1_000})
    world.drop("SOLUSD_1.csv", samples.file(20_000, seed=3))
    loading = world.start("run-once")
    wait_until(lambda: world.states().get("loading"), what="a batch")
    copier = world.start(*COMMAND)
    assert copier.wait() == 0, copier.text[-3000:]
    assert loading.wait() == 0, loading.text[-3000:]
    assert world.states() == {"done": 3}
    rows = _read(world)
    assert len(rows) == 20_203
    _check_copied(world, rows)


def test_readers_beside_it_see_all_rows(world: World) -> None:
    """Between the two renamings there is no table of that name for an instant; else every count is whole."""
    _load(world)
    rows = _read(world)
    counts: list[int | str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                counts.append(query(world.questdb_url, f"SELECT count() FROM {world.table}")["dataset"][0][0])
            except urllib.error.HTTPError as error:
                with error:
                    counts.append(error.read().decode())

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        world.run(*COMMAND)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert {count for count in counts if not isinstance(count, str)} == {len(rows)}
    assert all("does not exist" in count for count in counts if isinstance(count, str)), counts
    _check_copied(world, rows)


def test_rows_that_others_write_meanwhile_are_copied_too(world: World) -> None:
    """A program that knows nothing of feefifod's leases writes after its month was copied."""
    _load(world)
    stopped = fork(world, *COMMAND, **{VARIABLE: Step.COPY_SWAPPING})
    assert stopped.wait() == EXIT_CODE
    _insert_from_api(world, "2023-11-20T00:00:00.000000Z", 2)
    rows = _read(world)

    world.run(*COMMAND)

    _check_copied(world, rows)


def test_what_is_known_of_the_table_goes_with_it(world: World) -> None:
    """Marks, the day of retention and fingerprints of pruned files are the copy's afterwards."""
    _load(world)
    before = _identity(world)
    world.ask("INSERT INTO mark (table_id, well_at, started_us, sequenced) VALUES ($1, now(), 5, 1000)", before)
    world.ask("INSERT INTO retention_day VALUES ($1, now())", before)
    world.ask("INSERT INTO pruned_series VALUES ($1, 'LTC', 'CRYPTO', 'USD', 60, '{}')", before)

    world.run(*COMMAND)

    after = _identity(world)
    assert after != before
    for table in ("mark", "retention_day", "pruned_series", "target"):
        assert world.ask(f"SELECT table_id FROM {table}") == [{"table_id": after}], table
    assert world.ask("SELECT started_us, sequenced FROM mark") == [{"started_us": 5, "sequenced": 0}]
    assert {row["table_id"] for row in world.ask("SELECT table_id FROM batch")} == {after}


def test_the_same_content_is_a_duplicate_afterwards(world: World) -> None:
    _load(world)
    world.run(*COMMAND)
    world.drop("XBTUSD_1440.csv", samples.file(100, interval=1440, seed=0))
    world.ingest()
    assert world.states() == {"done": 2, "duplicate": 1}


def test_too_little_room_is_refused_before_it_begins(tmp_path: Path) -> None:
    """With the bytes that it needs and that there are; and it goes through once there is room."""
    with small_disk(tmp_path / "disk", 720 * MIB) as disk, run_pair(disk) as pair:
        sections = describe(questdb={"table": unique_name("prices")}, postgres_url="embedded")
        sections["paths"] = {"state": str(disk / "state")}
        urls = {"questdb_url": pair.questdb_url, "postgres_dsn": pair.postgres_dsn}
        world = World(tmp_path / "feefifod", sections, **urls)
        _load(world)
        fill(disk, spare=100 * MIB)
        refused = world.run(*COMMAND, code=1)
        text = " ".join(refused.text.split())
        assert "bytes" in text
        assert "are free" in text
        assert _partitioning(world) == "DAY"
        assert not world.ask("SELECT id FROM table_copy")
        free(disk)
        world.run(*COMMAND)
        _check_copied(world, _read(world))
        world.close()


def test_there_is_nothing_to_do_where_it_is_so_already(world: World) -> None:
    _load(world)
    number = _identity(world)
    done = world.run("setup-questdb-schema", "--partition-by", "day")
    assert "by DAY already" in " ".join(done.text.split())
    assert _identity(world) == number


def test_without_a_terminal_it_needs_a_word(world: World) -> None:
    _load(world)
    asked = world.run("setup-questdb-schema", "--partition-by", "MONTH", code=2)
    for text in ("203 rows", "by DAY", "by MONTH", "--yes"):
        assert text in " ".join(asked.text.split())
    assert _partitioning(world) == "DAY"


def test_two_at_once_is_one_too_many(world: World) -> None:
    _load(world)
    world.ask(
        "INSERT INTO table_copy (table_name, from_id, partition_by, owner, fence, lease_until)"
        " VALUES ($1, $2, 'YEAR', $3, nextval('fence'), now() + interval '1 hour')",
        world.table,
        _identity(world),
        _OTHER_HOST,
    )
    refused = world.run(*COMMAND, code=1)
    assert "being copied by YEAR (process 77 on elsewhere)" in " ".join(refused.text.split())
    assert _partitioning(world) == "DAY"


def test_a_drop_forgets_what_a_copy_has_begun(world: World) -> None:
    _load(world)
    stopped = fork(world, *COMMAND, **{VARIABLE: f"{Step.COPY_PROVED}:2"})
    assert stopped.wait() == EXIT_CODE
    [[before]] = query(world.questdb_url, f"SELECT id FROM tables() WHERE table_name = '{world.table}'")["dataset"]
    world.run("setup-questdb-schema", "--drop", "--yes")
    names = {name for [name] in query(world.questdb_url, "SELECT table_name FROM tables()")["dataset"]}
    assert f"feefifod_copy_{before}" not in names
    assert world.ask("SELECT state FROM table_copy") == [{"state": "given up"}]
    assert _partitioning(world) == "DAY", "as the configuration says"


def test_another_database_by_name(world: World) -> None:
    other = unique_name("other")
    section = {**world.questdb, "table": other, "partition_by": "DAY"}
    world.configure(databases={"questdb": world.questdb, "second": section})
    world.run("setup-questdb-schema", "--database", "second")
    query(world.questdb_url, f"INSERT INTO {other} VALUES (1, '2024-01-01', 1, 1, 1, 1, 1, 60, 1, 'USD', 'kraken')")
    world.run(*COMMAND, "--database", "second")
    [[unit]] = query(world.questdb_url, f"SELECT partitionBy FROM tables() WHERE table_name = '{other}'")["dataset"]
    assert unit == "MONTH"
    assert query(world.questdb_url, f"SELECT count() FROM {other}")["dataset"] == [[1]]


def test_rows_with_one_key_are_not_guessed_about(world: World) -> None:
    """Of two rows from before a table had DEDUP, which one counts is for a person to say; nothing is changed."""
    columns = (
        "asset_id INT, time TIMESTAMP, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE,"
        " interval_minutes INT, trade_count INT, quote_currency SYMBOL, source SYMBOL"
    )
    query(world.questdb_url, f"CREATE TABLE {world.table} ({columns}) TIMESTAMP(time) PARTITION BY DAY WAL")
    for price in (1, 2):
        query(
            world.questdb_url,
            f"INSERT INTO {world.table} VALUES (1, '2024-01-01', {price}, 1, 1, 1, 1, 60, 1, 'USD', 'kraken')",
        )
    refused = world.run(*COMMAND, code=1)
    assert "1 rows of 2024-01 have the key of another row" in " ".join(refused.text.split())
    assert _partitioning(world) == "DAY"
    assert len(_read(world)) == 2
