"""`setup-questdb-schema`: created, verified, mended, refused, dropped after a question."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from feefifod.servers import Endpoints
from tests.support.embedded import fetch, query
from tests.support.project import FEEFIFOD, Project, candle

COLUMNS = (
    "asset_id INT, time TIMESTAMP, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE,"
    " interval_minutes INT, trade_count INT, quote_currency SYMBOL, source SYMBOL"
)
KEYS = {"time", "asset_id", "interval_minutes", "source", "quote_currency"}


def read_keys(pair: Endpoints, table: str) -> set[str]:
    columns = query(pair.questdb_url, f"SHOW COLUMNS FROM {table}")["dataset"]
    return {column[0] for column in columns if column[8]}


def read_id(pair: Endpoints, table: str) -> int:
    [[number]] = query(pair.questdb_url, f"SELECT id FROM tables() WHERE table_name = '{table}'")["dataset"]
    return int(number)


def test_it_creates_and_then_verifies(project: Project, pair: Endpoints, postgres_dsn: str) -> None:
    first = project.succeed("setup_questdb_schema")
    number = read_id(pair, project.table)
    second = project.succeed("setup-questdb-schema")

    assert "created" in first.out
    assert "right" in second.out
    for text in ("trade_count INT", "quote_currency SYMBOL", "by MONTH", *KEYS, f":{number}"):
        assert text in second.out
    assert read_keys(pair, project.table) == KEYS
    assert read_id(pair, project.table) == number
    bound = asyncio.run(fetch(postgres_dsn, "SELECT table_id FROM target WHERE database = 'questdb'"))
    assert bound.endswith(f":{number}")


@pytest.mark.parametrize("dedup", ["", " DEDUP UPSERT KEYS(time, asset_id)"])
def test_missing_keys_are_added(project: Project, pair: Endpoints, dedup: str) -> None:
    query(pair.questdb_url, f"CREATE TABLE {project.table} ({COLUMNS}) TIMESTAMP(time) PARTITION BY DAY WAL{dedup}")

    outcome = project.succeed("setup-questdb-schema")

    assert "DEDUP keys, and has them now" in outcome.out
    assert read_keys(pair, project.table) == KEYS


def test_other_columns_are_refused_with_the_difference_and_kept(project: Project, pair: Endpoints) -> None:
    query(pair.questdb_url, f"CREATE TABLE {project.table} (time TIMESTAMP, price DOUBLE) TIMESTAMP(time)")

    outcome = project.run("setup-questdb-schema")

    assert outcome.code == 1
    assert "price" in outcome.err
    assert "asset_id" in outcome.err
    assert len(query(pair.questdb_url, f"SHOW COLUMNS FROM {project.table}")["dataset"]) == 2


def test_a_foreign_table_is_dropped_only_after_a_question(project: Project, pair: Endpoints) -> None:
    query(pair.questdb_url, f"CREATE TABLE {project.table} (price DOUBLE)")

    assert project.run("setup-questdb-schema", "--drop").code == 2
    assert len(query(pair.questdb_url, f"SHOW COLUMNS FROM {project.table}")["dataset"]) == 1
    project.succeed("setup-questdb-schema", "--drop", "--yes")
    assert read_keys(pair, project.table) == KEYS


def test_nothing_is_asked_where_nothing_is_lost(project: Project) -> None:
    assert "created" in project.succeed("setup-questdb-schema", "--drop").out


def test_drop_names_the_loss_and_needs_a_word(project: Project, pair: Endpoints) -> None:
    load_two(project)
    number = read_id(pair, project.table)

    outcome = project.run("setup-questdb-schema", "--drop")

    assert outcome.code == 2
    for text in ("2 rows", "2017-07-14 02:00:00", "2017-07-14 03:00:00", "ledger", "--yes"):
        assert text in outcome.err
    assert read_id(pair, project.table) == number


def test_a_drop_voids_the_ledger(project: Project, pair: Endpoints) -> None:
    load_two(project)
    assert project.succeed("status", "--json").document["files"]["done"] == 1

    dropped = project.succeed("setup-questdb-schema", "--drop", "--yes")

    assert "dropped with 2 rows" in dropped.out
    assert project.succeed("status", "--json").document["files"]["done"] == 0
    load_two(project)
    document = project.succeed("status", "--json").document
    assert (document["files"]["done"], document["files"]["duplicate"], document["questdb"]["rows"]) == (1, 0, 2)


def test_another_database_is_picked_by_name(project: Project, pair: Endpoints) -> None:
    other = f"{project.table}_other"
    with (project.folder / "config.toml").open("a") as file:
        file.write(f'[databases.second]\nurl = "{pair.questdb_url}"\ntable = "{other}"\npartition_by = "YEAR"\n')

    outcome = project.succeed("setup-questdb-schema", "--database", "second")

    assert "by YEAR" in outcome.out
    assert read_keys(pair, other) == KEYS
    wrong = project.run("setup-questdb-schema", "--database", "third")
    assert wrong.code == 2
    assert "second" in wrong.err


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 0), (b"y\n", 0), (b"\x03", 130)])
def test_the_question_on_a_terminal(project: Project, pair: Endpoints, answer: bytes, code: int) -> None:
    project.succeed("setup-questdb-schema")
    number = read_id(pair, project.table)

    text, ended = answer_on_terminal(project.folder, answer)

    assert f"Drop {project.table}" in text
    assert ended == code
    assert (read_id(pair, project.table) == number) == (answer != b"y\n")


def load_two(project: Project) -> None:
    project.drop("XBTUSD_60.csv", candle(1_499_997_600), candle(1_500_001_200))
    project.succeed("run-once")


def answer_on_terminal(folder: Path, answer: bytes) -> tuple[str, int]:
    """Run the drop on a terminal and type an answer when it asks; gives what was shown, and the exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [FEEFIFOD, "setup-questdb-schema", "--drop"],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.set_blocking(ours, False)
    shown, deadline, typed = b"", time.monotonic() + 60, False
    try:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                shown += os.read(ours, 4096)
            except BlockingIOError:
                time.sleep(0.02)
            if b"[y/N]" in shown and not typed:
                typed = True
                if answer == b"\x03":
                    process.send_signal(signal.SIGINT)
                else:
                    os.write(ours, answer)
    finally:
        process.kill()
        os.close(theirs)
        os.close(ours)
    return shown.decode(), process.wait()
