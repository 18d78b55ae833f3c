"""`feefifod status`: right counts, the present table only, and nothing started."""

from __future__ import annotations

import os
import time
from pathlib import Path

from feefifod.servers import Endpoints, hold_daemon
from tests.support.embedded import query
from tests.support.project import Project, candle

STATES = {"waiting", "loading", "moving", "done", "rejected", "duplicate", "empty"}
START = 1_499_997_600


def read(project: Project) -> dict[str, dict[str, object]]:
    document: dict[str, dict[str, object]] = project.succeed("status", "--json").document
    return document


def test_it_starts_nothing_and_says_that_nothing_runs(embedded_project: Project) -> None:
    embedded_project.drop("XBTUSD_60.csv", candle(START))
    embedded_project.drop("sub/ETHUSD_60.csv", "half a li")
    embedded_project.drop("notes.txt", "left alone")

    document = read(embedded_project)

    assert document["files"] == dict.fromkeys(STATES) | {"waiting": 2}
    assert document["rows"] == {"accepted": None, "rejected": None}
    unknown = {"url": None, "table": "assetprice", "rows": None, "pending_rows": None, "suspended": None}
    assert document["questdb"].items() >= unknown.items()
    assert "not running" in str(document["questdb"]["error"])
    assert document["postgres"]["reachable"] is False
    assert document["daemon"] == {"running": False, "pid": None, "since": None}
    assert document["schedules"] == []
    people = embedded_project.succeed("status").out
    assert "No server is running" in people
    assert "waiting 2" in people
    assert not (embedded_project.folder / ".feefifod").exists()


def test_filtered_files_do_not_wait(embedded_project: Project) -> None:
    embedded_project.drop("XBTUSD_60.csv", candle(START))
    embedded_project.drop("XBTUSD_1440.csv", candle(START))
    embedded_project.drop("ZZZUSD_60.csv", candle(START))
    with (embedded_project.folder / "config.toml").open("a") as file:
        file.write('watch.intervals = [60]\nwatch.tiers = ["TIER1"]\n')

    assert read(embedded_project)["files"]["waiting"] == 1


def test_a_missing_data_folder_is_said(embedded_project: Project) -> None:
    embedded_project.data.rmdir()

    assert read(embedded_project)["files"]["waiting"] is None
    assert "data folder" in embedded_project.succeed("status").out


def test_counts_are_those_of_the_ledger_and_the_table(project: Project, pair: Endpoints) -> None:
    before = read(project)
    assert before["files"] == dict.fromkeys(STATES, 0)
    assert before["postgres"]["reachable"] is True
    assert "not set up yet" in str(before["postgres"]["error"])
    assert "no such table" in str(before["questdb"]["error"])

    rows = [candle(START + 3600 * hour) for hour in range(5)]
    project.drop("XBTUSD_60.csv", *rows)
    project.drop("ETHUSD_60.csv", *rows[:3], "1,not,a,candle")
    project.drop("ADAUSD_60.csv", "nothing good in it")
    project.drop("SOLUSD_60.csv")
    project.run("run-once")
    project.drop("copy/XBTUSD_60.csv", *rows)
    project.succeed("run-once")
    project.drop("XRPUSD_60.csv", *rows)

    after = read(project)

    assert after["postgres"] == {"reachable": True, "error": None}
    assert after["files"] == {
        "waiting": 1,
        "loading": 0,
        "moving": 0,
        "done": 2,
        "rejected": 1,
        "duplicate": 1,
        "empty": 1,
    }
    assert after["rows"] == {"accepted": 8, "rejected": 2}
    assert after["questdb"] == {
        "url": pair.questdb_url,
        "table": project.table,
        "rows": 8,
        "pending_rows": 0,
        "suspended": False,
        "error": None,
    }
    people = project.succeed("status").out
    for text in ("done 2", "accepted 8", "8 rows", "rejected/NAME.reason.json", "run-once"):
        assert text in people


def test_a_table_that_was_dropped_by_hand_counts_for_nothing(project: Project, pair: Endpoints) -> None:
    project.drop("XBTUSD_60.csv", candle(START))
    project.succeed("run-once")

    query(pair.questdb_url, f"DROP TABLE {project.table}")

    document = read(project)
    assert document["files"]["done"] == 0
    assert document["questdb"]["rows"] is None


def test_without_questdb_the_ledger_still_counts(project: Project) -> None:
    project.drop("XBTUSD_60.csv", candle(START))
    project.succeed("run-once")
    config = project.folder / "config.toml"
    config.write_text(config.read_text().replace('url = "http://127.0.0.1:', 'url = "http://127.0.0.2:'))

    document = read(project)

    assert document["files"]["done"] == 1
    assert document["questdb"]["rows"] is None
    assert "127.0.0.2" in str(document["questdb"]["error"])


def test_without_postgres_the_table_is_still_seen_and_no_password_is_shown(project: Project) -> None:
    project.succeed("setup-questdb-schema")
    config = project.folder / "config.toml"
    lines = [line for line in config.read_text().splitlines() if not line.startswith("postgres")]
    config.write_text("\n".join([*lines, 'postgres.url = "postgresql://me:s3cret-word@127.0.0.1:1/db"']))

    outcome = project.succeed("status", "--json")

    assert outcome.document["postgres"]["reachable"] is False
    assert outcome.document["questdb"]["rows"] == 0
    assert outcome.document["files"]["done"] is None
    assert "s3cret-word" not in outcome.out + outcome.err


def test_a_suspended_table_is_named_with_its_remedy(project: Project, pair: Endpoints) -> None:
    project.succeed("setup-questdb-schema")
    sql = f"SELECT directoryName FROM tables() WHERE table_name = '{project.table}'"
    [[folder]] = query(pair.questdb_url, sql)["dataset"]
    root = pair.import_dir.parent / "db" / folder
    # Files where QuestDB would make the folder of the partition, whatever its version.
    obstacles = [root / "2017-07", *(root / f"2017-07.{version}" for version in range(20))]
    for obstacle in obstacles:
        obstacle.touch()
    insert = f"INSERT INTO {project.table} VALUES (1, '2017-07-14T02:00:00Z', 1, 1, 1, 1, 1, 60, 1, 'USD', 'kraken')"
    query(pair.questdb_url, insert)

    document = wait_for_suspension(project)

    assert document["questdb"]["suspended"] is True
    assert "suspended" in str(document["questdb"]["error"])
    assert f'feefifod query "ALTER TABLE {project.table} RESUME WAL"' in project.succeed("status").out
    for obstacle in obstacles:
        obstacle.unlink()
    project.succeed("query", f"ALTER TABLE {project.table} RESUME WAL")
    assert read(project)["questdb"]["suspended"] is False


def wait_for_suspension(project: Project) -> dict[str, dict[str, object]]:
    deadline = time.monotonic() + 30
    while (document := read(project))["questdb"]["suspended"] is not True:
        assert time.monotonic() < deadline, document
        time.sleep(0.1)
    return document


def test_the_daemon_is_named_while_it_lives(embedded_project: Project, tmp_path: Path) -> None:
    with hold_daemon(tmp_path / ".feefifod"):
        daemon = read(embedded_project)["daemon"]
        assert (daemon["running"], daemon["pid"]) == (True, os.getpid())
        assert str(daemon["since"]).startswith("20")
        assert f"pid {os.getpid()}" in embedded_project.succeed("status").out

    assert read(embedded_project)["daemon"] == {"running": False, "pid": None, "since": None}


def test_schedules_are_listed(embedded_project: Project) -> None:
    with (embedded_project.folder / "config.toml").open("a") as file:
        file.write(
            '[[schedules]]\nname = "us-daily"\ncron = "10 5 * * 2-6"\ntimezone = "Europe/Berlin"\n'
            'source = "massive"\nall = true\n'
        )

    [schedule] = embedded_project.succeed("status", "--json").document["schedules"]

    expected = {"name": "us-daily", "cron": "10 5 * * 2-6", "timezone": "Europe/Berlin", "source": "massive"}
    assert schedule.items() >= expected.items()
    assert "us-daily" in embedded_project.succeed("status").out
