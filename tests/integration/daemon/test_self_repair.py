"""QuestDB loses what it had acknowledged: the daemon notices by itself, and puts back what the archive still has."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from feefifod.servers import Endpoints
from tests.integration.daemon.conftest import ask
from tests.support import samples
from tests.support.daemon import Process, World, describe, wait_until
from tests.support.embedded import kill_servers, query, run_pair, unique_name

DAY = 86_400
OLD, NEW, NEWER = (samples.file(200, interval=60, seed=seed) for seed in (1, 2, 3))
LATER = samples.file(300, interval=60, seed=4, start=samples.START + 200 * 3600, trades=1_000)
"""Another file of the series of NEW, some of whose rows win over rows of it."""

pytestmark = pytest.mark.xdist_group("self-repair pair")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def own_pair(state: Path) -> Iterator[Endpoints]:
    """A pair whose servers may be killed, and whose folders may be replaced."""
    with run_pair(state) as endpoints:
        yield endpoints


@pytest.fixture
def world(own_pair: Endpoints, state: Path, tmp_path: Path, port: int) -> Iterator[World]:
    """A world that uses that pair as its embedded one, so that its daemon brings servers back; it answers on `port`."""
    sections = describe(questdb={"table": unique_name("prices")}, postgres_url="embedded")
    sections["paths"] = {"state": str(state / "state")}
    world = World(tmp_path / "feefifod", sections, questdb_url=own_pair.questdb_url, postgres_dsn=own_pair.postgres_dsn)
    world.configure(http={"listen": f"127.0.0.1:{port}"})
    world.forget()
    yield world
    world.close()


@contextmanager
def frozen(process: Process) -> Iterator[None]:
    """Stop a process for a while: it must not bring QuestDB back in the meantime."""
    process.signal(signal.SIGSTOP)
    yield
    process.signal(signal.SIGCONT)


def load(world: World, files: dict[str, bytes]) -> None:
    """Drop files and wait until all of them are done."""
    before = sum(world.states().values())
    for name, content in files.items():
        world.drop(name, content)
    world.wait_finished(before + len(files))


def folder_of_table(world: World, state: Path) -> Path:
    """Find the folder in which QuestDB keeps the table."""
    database = state / "state" / "questdb" / "db"
    [folder] = [path for path in database.glob(f"{world.table}~*") if path.is_dir()]
    return folder


def checks(daemon: Process, cause: str, *, count: int = 1) -> list[dict[str, Any]]:
    """Wait for checks for this reason."""

    def find() -> list[dict[str, Any]]:
        found = [event for event in daemon.events("repair_checked") if event["cause"] == cause]
        return found if len(found) >= count else []

    found: list[dict[str, Any]] = wait_until(find, what=f"a check because of {cause}")
    return found


def count_rows(world: World) -> int:
    """Count the table's rows, once QuestDB answers."""
    rows: int = query(world.questdb_url, f"SELECT count() FROM {world.table}")["dataset"][0][0]
    return rows


def test_older_copy_of_the_table_beside_a_living_daemon(world: World, state: Path, port: int, tmp_path: Path) -> None:
    """Whatever came in after the copy was made is put back, once, while new files are loaded as ever."""
    daemon = world.start()
    checks(daemon, "restart")
    load(world, {"XBTUSD_60.csv": OLD, "ETHUSD_60.csv": NEW})
    with frozen(daemon):
        kill_servers(state, "java")
        shutil.copytree(folder_of_table(world, state), tmp_path / "copy")
    checks(daemon, "restart", count=2)
    load(world, {"SOLUSD_60.csv": NEWER, "again/ETHUSD_60.csv": LATER})
    time.sleep(5)  # It looks every two seconds how many transactions there are.
    with frozen(daemon):
        kill_servers(state, "java")
        shutil.rmtree(folder := folder_of_table(world, state))
        (tmp_path / "copy").rename(folder)
    [check] = checks(daemon, "fallback")

    assert check["rows_repaired"] == 200 + 300
    assert (check["series"], check["differences"]) == (3, 0)
    load(world, {"ADAUSD_60.csv": NEW})
    world.check()
    assert world.states() == {"done": 5}, "nothing is loaded by way of the data folder"
    status = ask(port, "/status").document["repair"]
    assert (status["cause"], status["rows_repaired"], status["differences"]) == ("fallback", 500, 0)
    samples_ = ask(port, "/metrics").samples
    assert samples_["feefifod_rows_repaired_total"] == 500
    assert samples_['feefifod_repair_checks_total{cause="fallback"}'] == 1
    assert samples_["feefifod_repair_differences_total"] == 0
    daemon.stop()
    world.check()


def test_power_loss_of_the_host(world: World, state: Path, tmp_path: Path) -> None:
    """Everything dies at once, and QuestDB comes back with less: the next start finds out and mends it."""
    daemon = world.start()
    load(world, {"XBTUSD_60.csv": OLD})
    with frozen(daemon):
        kill_servers(state, "java")
        shutil.copytree(folder_of_table(world, state), tmp_path / "copy")
    load(world, {"ETHUSD_60.csv": NEW, "SOLUSD_60.csv": NEWER})
    daemon.kill()
    kill_servers(state, "java")
    kill_servers(state, "postgres")
    shutil.rmtree(folder := folder_of_table(world, state))
    (tmp_path / "copy").rename(folder)

    daemon = world.start()
    wait_until(lambda: daemon.events("repair_checked"), what="the check at the start")
    assert sum(event["rows_repaired"] for event in daemon.events("repair_checked")) == 400
    world.check()
    daemon.stop()
    document = world.run("status", "--json").text
    assert '"rows_repaired": 400' in document


def test_rows_that_are_gone_after_a_restart(world: World, state: Path) -> None:
    """Where new rows were lost, older ones of the table are looked after, too, also those of a killed check."""
    daemon = world.start()
    load(world, {"XBTUSD_60.csv": OLD})
    world.ask("UPDATE file SET loaded_at = loaded_at - interval '1 year'")
    load(world, {"ETHUSD_60.csv": NEW, "again/ETHUSD_60.csv": LATER})
    expected = count_rows(world)
    with frozen(daemon):
        query(world.questdb_url, f"TRUNCATE TABLE {world.table}")
        query(world.questdb_url, f"SELECT wait_wal_table('{world.table}')")
        assert count_rows(world) == 0
        kill_servers(state, "java")
    daemon.wait_for("repair_widened")
    daemon.kill()

    daemon = world.start()
    wait_until(lambda: daemon.events("repair_checked"), what="the check that was cut")
    assert count_rows(world) == expected
    world.check()
    daemon.stop()


def test_restart_that_lost_nothing(world: World, state: Path) -> None:
    """A check that finds nothing sends nothing, old files are not even looked at, and a start alone checks nothing."""
    daemon = world.start()
    checks(daemon, "restart")
    load(world, {"XBTUSD_60.csv": OLD})
    world.ask("UPDATE file SET loaded_at = loaded_at - interval '1 year'")
    load(world, {"ETHUSD_60.csv": NEW})
    kill_servers(state, "java")
    check = checks(daemon, "restart", count=2)[-1]
    assert (check["files"], check["rows_repaired"], check["differences"]) == (1, 0, 0)
    wait_until(lambda: world.ask("SELECT 1 AS one FROM mark WHERE well_at > checked_at"), what="the mark")
    daemon.stop()

    daemon = world.start()
    daemon.wait_for("watching")
    load(world, {"SOLUSD_60.csv": NEWER})
    time.sleep(3)
    daemon.stop()
    assert not daemon.events("repair_checked")
    assert not [process for process in world.processes if process.events("repairing")]
    world.check()


def test_series_that_is_being_loaded_is_looked_after_later(world: World, state: Path) -> None:
    """The check waits for the load, not the other way round."""
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    daemon = world.start()
    checks(daemon, "restart")
    load(world, {"XBTUSD_1.csv": samples.file(2_000), "ETHUSD_60.csv": NEW})
    world.drop("again/XBTUSD_1.csv", samples.file(100_000, start=samples.START + 30 * DAY))
    daemon.wait_for("window_sent", count=5)
    with frozen(daemon):
        query(world.questdb_url, f"ALTER TABLE {world.table} DROP PARTITION LIST '2023-11'")
        query(world.questdb_url, f"SELECT wait_wal_table('{world.table}')")
        kill_servers(state, "java")
    daemon.wait_for("repair_postponed")
    world.wait_finished(3)
    checks(daemon, "restart", count=2)
    daemon.stop()
    assert len(world.check().table) == 102_200
