"""`feefifod doctor` on real servers, healthy and not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest
from anyio.from_thread import start_blocking_portal

from feefifod.servers import Endpoints
from feefifod.sink.schema import COLUMNS
from tests.support.daemon import wait_until
from tests.support.embedded import query
from tests.support.fake_finnhub import FakeFinnhub
from tests.support.fake_massive import FakeMassive
from tests.support.project import ROOT, Outcome, Project, candle

START = 1_499_997_600
FREE_PORTS = "embedded = { http_port = 0, pg_wire_port = 0, health_port = 0 }\n"


def findings(outcome: Outcome) -> list[dict[str, str]]:
    found: list[dict[str, str]] = outcome.document["findings"]
    return found


def bad(outcome: Outcome, level: str = "error") -> list[dict[str, str]]:
    """Return the findings of a level, each of which must say why and what to do."""
    found = [finding for finding in findings(outcome) if finding["level"] == level]
    assert all(finding["why"] and finding["remedy"] for finding in found)
    return found


def change(project: Project, old: str, new: str) -> None:
    file = project.folder / "config.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_nothing_runs_and_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").write_text(FREE_PORTS)
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path, "assetprice", capsys)

    outcome = project.run("doctor", "--json")

    assert (outcome.code, bad(outcome)) == (0, [])
    stopped = [finding for finding in findings(outcome) if "is not running, and none was started" in finding["what"]]
    assert [finding["level"] for finding in stopped] == ["ok", "ok"]
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]
    assert "0 errors" in project.succeed("doctor").out


def test_healthy_servers_before_and_after_the_first_file(project: Project) -> None:
    before = project.succeed("doctor", "--json")
    assert f"there is no table {project.table} yet" in before.out

    project.drop("XBTUSD_60.csv", candle(START))
    project.succeed("run-once")
    after = project.succeed("doctor", "--json")

    assert bad(after) == []
    assert {"QuestDB", "QuestDB version", "QuestDB table", "PostgreSQL", "clock", "ledger"} <= {
        finding["check"] for finding in findings(after) if finding["level"] == "ok"
    }
    assert f"{project.table}: 1 rows, by MONTH, DEDUP on its five keys" in after.out
    counts = {level: len([f for f in findings(after) if f["level"] == level]) for level in ("ok", "warning", "error")}
    document = after.document
    assert (document["ok"], document["warnings"], document["errors"]) == tuple(counts.values())


def test_a_table_without_dedup_is_cured_by_the_remedy(project: Project, pair: Endpoints) -> None:
    project.succeed("setup-questdb-schema")
    query(pair.questdb_url, f"ALTER TABLE {project.table} DEDUP DISABLE")
    # The server answers before it has done so.
    dedup = f"SELECT dedup FROM tables() WHERE table_name = '{project.table}'"
    wait_until(lambda: query(pair.questdb_url, dedup)["dataset"] == [[False]], what="the table without DEDUP")
    sick = project.run("doctor", "--json")

    [finding] = bad(sick)

    assert sick.code == 1
    assert finding["check"] == "QuestDB table"
    project.succeed(*finding["remedy"].removeprefix("Run: feefifod ").split())
    assert bad(project.succeed("doctor", "--json")) == []


def test_a_foreign_table(project: Project, pair: Endpoints) -> None:
    query(
        pair.questdb_url, f"CREATE TABLE {project.table} (time TIMESTAMP, x INT) TIMESTAMP(time) PARTITION BY YEAR WAL"
    )

    outcome = project.run("doctor", "--json")

    assert outcome.code == 1
    text = " ".join(finding["what"] for finding in bad(outcome))
    assert all(word in text for word in ("asset_id", "x", "is off"))


def test_what_the_partitioning_means(project: Project, pair: Endpoints) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    query(pair.questdb_url, f"CREATE TABLE {project.table} ({columns}) TIMESTAMP(time) PARTITION BY DAY WAL")
    query(
        pair.questdb_url,
        f"INSERT INTO {project.table} (time) SELECT timestamp_sequence('2016-01-01', 86400000000L)"
        " FROM long_sequence(50)",
    )
    wait_until(
        lambda: query(pair.questdb_url, f"SELECT count() FROM {project.table}")["dataset"] == [[50]], what="rows"
    )
    project.succeed("setup-questdb-schema")

    [finding] = [found for found in findings(project.run("doctor", "--json")) if found["check"] == "QuestDB partitions"]

    assert finding["level"] == "ok"
    assert "50 by DAY x 11 columns = 550 memory maps" in finding["what"]
    assert "vm.max_map_count" in finding["what"]


def test_servers_that_do_not_answer_are_errors_without_their_passwords(project: Project) -> None:
    change(project, 'url = "http://127.0.0.1:', 'url = "http://127.0.0.2:')
    lines = [line for line in (project.folder / "config.toml").read_text().splitlines() if "postgres" not in line]
    (project.folder / "config.toml").write_text(
        "\n".join([*lines, 'postgres.url = "postgresql://me:s3cret-word@127.0.0.1:1/db"'])
    )

    outcome = project.run("doctor", "--json")

    assert outcome.code == 1
    assert [finding["check"] for finding in bad(outcome)] == ["QuestDB", "PostgreSQL"]
    assert "127.0.0.2" in bad(outcome)[0]["what"]
    assert "s3cret-word" not in outcome.out + outcome.err
    assert project.run("doctor").code == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_a_wrong_configuration_is_a_finding_and_exits_2(project: Project, as_json: bool) -> None:
    change(project, "watch.settle_seconds", "watch.setle_seconds")

    outcome = project.run("doctor", *(["--json"] if as_json else []))

    assert outcome.code == 2
    assert "watch.setle_seconds" in outcome.out
    assert "watch.settle_seconds" in outcome.out
    if as_json:
        assert [finding["check"] for finding in bad(outcome)] == ["configuration"]


def test_work_of_a_dead_process_and_files_that_are_gone(project: Project, postgres_dsn: str) -> None:
    project.drop("XBTUSD_60.csv", candle(START))
    project.succeed("run-once")
    host = "elsewhere.0.0"
    insert = (
        "INSERT INTO file (path, name, device, inode, size, mtime_ns, ctime_ns, ticker, category, quote,"
        " interval_minutes, state, owner, lease_until) VALUES ($1, 'n', 0, 0, 0, 0, 0, 'T', 'CRYPTO', 'USD', 1,"
        " $2, $3, now() + $4::text::interval)"
    )

    async def leave() -> None:
        connection = await asyncpg.connect(postgres_dsn)
        await connection.execute(insert, b"/data/a", "loading", f"{host}/7/1.0/t", "-1 minute")
        await connection.execute(insert, b"/data/b", "loading", f"{host}/8/1.0/t", "1 minute")
        await connection.execute(insert, b"/nowhere/c.csv", "waiting", None, None)
        await connection.close()

    asyncio.run(leave())

    left, gone = [
        finding for finding in bad(project.succeed("doctor", "--json"), "warning") if "ledger" in finding["check"]
    ]

    assert left["what"] == "1 files in work left by process 7 on elsewhere"
    assert "/nowhere/c.csv" in gone["what"]


@pytest.fixture
def apis() -> Iterator[tuple[FakeMassive, FakeFinnhub]]:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(FakeMassive()) as massive,
        portal.wrap_async_context_manager(FakeFinnhub()) as finnhub,
    ):
        yield massive, finnhub
        assert massive.leaks() + finnhub.leaks() == []


def test_keys_are_needed_by_schedules_and_tried_on_demand_only(
    project: Project, apis: tuple[FakeMassive, FakeFinnhub], monkeypatch: pytest.MonkeyPatch
) -> None:
    massive, finnhub = apis
    finnhub.premium = {"stock/candle"}
    project.succeed("run-once")
    with (project.folder / "config.toml").open("a") as file:
        file.write(
            f'sources.massive = {{ base_url = "{massive.url}", calls_per_minute = 60000 }}\n'
            f'sources.finnhub = {{ base_url = "{finnhub.url}/api/v1", calls_per_minute = 60000 }}\n'
            '[[schedules]]\nname = "nightly"\ncron = "0 5 * * *"\nsource = "massive"\nall = true\n'
        )

    missing = project.run("doctor", "--json", "--online")
    assert (missing.code, [finding["check"] for finding in bad(missing)]) == (1, ["API key of massive"])
    assert massive.calls == []

    monkeypatch.setenv("MASSIVE_API_KEY", massive.key)
    monkeypatch.setenv("FINNHUB_API_KEY", finnhub.key)
    assert bad(project.succeed("doctor", "--json")) == []
    assert massive.calls == []

    online = online_findings(project.succeed("doctor", "--json", "--online"))
    assert [finding["level"] for finding in online] == ["ok", "warning"]
    assert "not for STOCK" in online[1]["what"]
    assert 1 <= len(massive.calls) <= 2
    assert len(finnhub.calls) == 1

    monkeypatch.setenv("MASSIVE_API_KEY", "wrong-key-0123456789")
    refused = project.run("doctor", "--json", "--online")
    assert refused.code == 1
    assert [finding["check"] for finding in bad(refused)] == ["API key of massive online"]
    assert "wrong-key" not in refused.out + refused.err


def online_findings(outcome: Outcome) -> list[dict[str, str]]:
    return [finding for finding in findings(outcome) if finding["check"].endswith("online")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file that somebody else cannot read")
def test_a_file_that_scp_left_closed_is_named_with_owner_mode_and_remedy(open_folder: Path) -> None:
    file = open_folder / "data" / "XBTUSD_60.csv"
    file.parent.mkdir()
    file.write_text(f"{candle(START)}\n")
    file.chmod(0o600)
    (open_folder / "config.toml").write_text(FREE_PORTS)
    # The first run imports everything, for the interpreter itself may be closed to others.
    code = (
        "import os, sys; from feefifod.cli.main import run_command_line; os.chdir(sys.argv[1]);"
        " run_command_line(['doctor']); os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        " print('AS NOBODY'); sys.exit(run_command_line(['doctor', '--json']))"
    )

    result = subprocess.run(
        [sys.executable, "-c", code, str(open_folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/"},
    )

    outcome = Outcome(result.returncode, result.stdout.partition("AS NOBODY\n")[2], result.stderr)
    # A folder that belongs to root cannot be written by nobody, and that is an error.
    assert outcome.code == 1, result
    assert {finding["check"] for finding in bad(outcome)} == {
        f"folder {n}" for n in ("data", "ingested", "rejected", "state")
    }
    [closed] = [finding for finding in bad(outcome, "warning") if finding["check"] == "unreadable files"]
    assert "belongs to root with mode 0600" in closed["what"]
    assert closed["remedy"] == f"Run as its owner: chmod a+r '{file.resolve()}'"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, which those of pytest are not."""
    with TemporaryDirectory(prefix="feefifod-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_an_embedded_pair_that_runs_is_looked_at(
    pair: Endpoints, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = pair.import_dir.parent.parent
    (tmp_path / "config.toml").write_text(f'{FREE_PORTS}paths.state = "{state}"\n')

    found = findings(Project(tmp_path, "assetprice", capsys).succeed("doctor", "--json"))

    assert [f["what"].partition(" runs")[0] for f in found if f["check"] == "embedded servers"] == [
        "QuestDB 9.3.4",
        "PostgreSQL 18",
    ]
    assert {"QuestDB version", "PostgreSQL version", "open files of QuestDB"} <= {f["check"] for f in found}
