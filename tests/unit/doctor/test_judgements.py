"""What the doctor makes of what it sees: how bad it is, and the remedy."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterable
from typing import Any

import pytest

from feefifod.catalog.owner import this_owner
from feefifod.config import EmbeddedSettings, QuestDBSettings, ScheduleSettings
from feefifod.doctor import Finding
from feefifod.doctor.embedded import check_embedded
from feefifod.doctor.examination import is_local
from feefifod.doctor.folders import GiB, judge_room
from feefifod.doctor.keys import find_keys
from feefifod.doctor.limits import judge_maps, judge_own_files, judge_questdb_files, judge_watches
from feefifod.doctor.partitions import Machine, judge_partitions
from feefifod.doctor.postgres import judge_clock, judge_server, judge_waiting, judge_work
from feefifod.doctor.questdb import RULES, judge_settings, judge_suspended, judge_table, judge_version
from feefifod.model import Source
from feefifod.sink.schema import COLUMNS, DEDUP_KEYS

SOUND = {
    "readonly": "false",
    "http.security.readonly": "false",
    "cairo.wal.apply.enabled": "true",
    "line.auto.create.new.columns": "false",
    "line.auto.create.new.tables": "false",
    "cairo.wal.max.lag.size": "78643200",
    "telemetry.enabled": "false",
    "cairo.commit.mode": "nosync",
}
NIGHTLY = ScheduleSettings(name="nightly", cron="0 5 * * *", source="massive", all=True)


def levels(findings: Iterable[Finding]) -> list[str]:
    return [str(finding.level) for finding in findings]


@pytest.mark.parametrize(
    ("build", "level"),
    [
        ("Build Information: QuestDB 9.3.0, JDK 17", "error"),
        ("Build Information: QuestDB 8.12.9, JDK 17", "error"),
        ("Build Information: QuestDB 9.3.1, JDK 17", "warning"),
        ("Build Information: QuestDB 9.3.4, JDK 25", "ok"),
        ("Build Information: QuestDB 10.0.0-SNAPSHOT", "ok"),
        ("something else", "warning"),
    ],
)
def test_versions_of_questdb(build: str, level: str) -> None:
    assert judge_version("QuestDB", build).level == level


def test_sound_settings_are_good() -> None:
    assert levels(judge_settings("QuestDB", SOUND, import_dir="")) == ["ok"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.key)
def test_each_rule_speaks_up_and_says_what_to_set(rule: Any) -> None:
    opposite = {"true": "false", "false": "true"}.get(SOUND[rule.key], "1024")

    findings = [f for f in judge_settings("QuestDB", SOUND | {rule.key: opposite}, import_dir="") if f.level != "ok"]

    assert levels(findings) == [rule.level]
    assert f"{rule.key} = {opposite}" in findings[0].what
    assert f"{rule.key}={SOUND[rule.key]}" in findings[0].remedy
    assert f"QDB_{rule.key.upper().replace('.', '_')}" in findings[0].remedy


def test_an_import_folder_that_the_server_does_not_have() -> None:
    closed, _ = judge_settings("QuestDB", SOUND, import_dir="/srv/import")

    assert (closed.level, "bulk lane" in closed.why) == ("warning", True)
    assert levels(judge_settings("QuestDB", SOUND | {"cairo.sql.copy.root": "/x"}, import_dir="/x")) == ["ok"]


def test_our_suspended_table_is_an_error_and_another_one_a_warning() -> None:
    found = list(
        judge_suspended("QuestDB", [["assetprice", "DISK FULL", "errno=28"], ["other", None, None]], "assetprice")
    )

    assert levels(found) == ["error", "warning"]
    assert "DISK FULL errno=28" in found[0].what
    assert 'feefifod query "ALTER TABLE assetprice RESUME WAL"' in found[0].remedy


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"kinds": COLUMNS | {"open": "FLOAT"}}, ["open"]),
        ({"kinds": COLUMNS | {"extra": "INT"}}, ["extra"]),
        ({"kinds": {name: kind for name, kind in COLUMNS.items() if name != "source"}}, ["source"]),
        ({"keys": set()}, ["is off"]),
        ({"keys": {"time", "asset_id"}}, ["asset_id, time"]),
        ({"partition_by": "DAY"}, []),
        ({"partition_by": "HOUR"}, []),
        ({"keys": set(), "partition_by": "YEAR"}, ["is off"]),
    ],
)
def test_the_table_must_be_as_feefifod_needs_it(changes: dict[str, Any], words: list[str]) -> None:
    sound: dict[str, Any] = {"kinds": dict(COLUMNS), "keys": set(DEDUP_KEYS), "partition_by": "MONTH", "rows": 5}

    found = list(judge_table("table", QuestDBSettings(), **(sound | changes)))

    assert levels(found) == (["error"] * len(words) or ["ok"])
    assert all(word in finding.what for word, finding in zip(words, found, strict=False))


def test_postgres_must_be_durable() -> None:
    assert levels(judge_server("18.1", 180_001, "on", "on")) == ["ok", "ok"]
    assert levels(judge_server("13.2", 130_002, "on", "local")) == ["warning", "ok"]
    [_, off] = judge_server("16.0", 160_000, "on", "off")
    assert "ALTER SYSTEM SET synchronous_commit = on" in off.remedy


@pytest.mark.parametrize(
    ("theirs", "level", "word"),
    [(1000.5, "ok", "agrees"), (999.0, "ok", "agrees"), (1100.0, "warning", "behind"), (900.0, "warning", "ahead")],
)
def test_clocks(theirs: float, level: str, word: str) -> None:
    finding = judge_clock(theirs, before=1000.0, after=1001.0)

    assert finding.level == level
    assert word in finding.what


def test_work_of_the_living_is_left_alone_and_that_of_the_dead_is_named() -> None:
    me = this_owner()
    dead = f"{me.host}/{me.pid}/1.00/token"

    assert levels(judge_work([])) == ["ok"]
    assert levels(judge_work([("file", str(me), False, 3)])) == ["ok"]
    assert levels(judge_work([("file", "elsewhere.1/5/1.0/t", False, 1)])) == ["ok"]
    left = judge_work([("file", dead, False, 2), ("schedule", str(me), True, 1), ("file", "", True, 4)])
    assert levels(left) == ["warning"] * 3
    assert left[0].what.startswith(f"2 files in work left by process {me.pid} on ")
    assert all("run-once" in finding.remedy for finding in left)


def test_a_daemon_forgets_missing_files_by_itself() -> None:
    assert levels(judge_waiting(["/data/x.csv"], daemon_runs=False)) == ["warning"]
    assert levels(judge_waiting(["/data/x.csv"], daemon_runs=True)) == []


@pytest.mark.parametrize(
    ("free", "files", "level"),
    [
        (100 * GiB, None, "ok"),
        (100 * GiB, 10_000_000, "ok"),
        (100 * GiB, 5_000, "warning"),
        (3 * GiB, None, "warning"),
        (GiB // 2, None, "error"),
    ],
)
def test_room_on_a_disk(free: int, files: int | None, level: str) -> None:
    assert judge_room("data", "/srv/a b", free, files).level == level


def test_limits() -> None:
    assert judge_own_files(1_024).level == "warning"
    assert judge_own_files(20_000).level == "ok"
    assert judge_own_files(resource.RLIM_INFINITY).level == "ok"
    assert judge_questdb_files(20_000).level == "warning"
    assert judge_questdb_files(1_048_576).level == "ok"
    assert "sysctl -w vm.max_map_count=1048576" in judge_maps(65_530).remedy
    assert judge_maps(1_048_576).level == "ok"
    assert judge_watches(8_192, 10).level == "ok"
    assert "sysctl -w fs.inotify.max_user_watches=" in judge_watches(8_192, 9_000).remedy


@pytest.mark.parametrize(
    ("environ", "daemon_runs", "level"),
    [({}, False, "error"), ({}, True, "warning"), ({"MASSIVE_API_KEY": "abc123"}, False, "ok")],
)
def test_a_schedule_needs_its_key(environ: dict[str, str], daemon_runs: bool, level: str) -> None:
    [massive, finnhub], keys = find_keys([NIGHTLY], environ, daemon_runs=daemon_runs)

    assert (massive.level, finnhub.level) == (level, "ok")
    assert "nightly" in massive.why
    assert set(keys) == ({Source.MASSIVE} if environ else set())
    assert "abc123" not in str(massive)


def test_a_busy_port_is_named_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = EmbeddedSettings(http_port=port, pg_wire_port=0, health_port=0)
        found = list(check_embedded(settings, None, questdb=True, postgres=False))

    assert levels(found) == ["error"]
    assert str(port) in found[0].what
    assert "feefifod config set embedded.http_port 0" in found[0].remedy


def test_what_is_external_is_not_looked_for() -> None:
    assert list(check_embedded(EmbeddedSettings(), None, questdb=False, postgres=False)) == []


def test_servers_that_are_not_installed_are_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feefifod.servers.artifact.importlib.util.find_spec", lambda name: None)

    [found] = check_embedded(EmbeddedSettings(), None, questdb=True, postgres=True)

    assert found.level == "error"
    assert "feefifod[embedded]" in found.remedy


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:9000", True),
        ("http://[::1]:9000", True),
        ("http://localhost:9000", True),
        ("http://10.0.0.1:9000", False),
        ("http://questdb.example:9000", False),
    ],
)
def test_which_urls_are_this_machine(url: str, here: bool) -> None:
    assert is_local(url) is here


@pytest.mark.parametrize(
    ("partition_by", "partitions", "max_maps", "level", "words"),
    [
        ("DAY", 4_750, 65_530, "warning", ["52,250 memory maps", "room for 1 at once"]),
        ("DAY", 4_750, 262_144, "ok", ["room for 4 at once"]),
        ("DAY", 4_750, None, "warning", ["not seen from here", "Linux usually 65,530"]),
        ("MONTH", 157, 65_530, "ok", ["1,727 memory maps", "room for 36 at once"]),
        ("MONTH", 157, None, "ok", ["not seen from here"]),
        ("YEAR", 0, 65_530, "ok", ["0 by YEAR"]),
    ],
)
def test_what_partitions_mean(
    partition_by: str, partitions: int, max_maps: int | None, level: str, words: list[str]
) -> None:
    finding = judge_partitions(
        "QuestDB",
        Machine(max_maps, None),
        {},
        table="prices",
        partition_by=partition_by,
        partitions=partitions,
        columns=11,
    )

    assert finding.level == level
    assert all(word in finding.what for word in words)
    if level == "warning":
        assert "sysctl -w vm.max_map_count=1048576" in finding.remedy
        assert "--partition-by MONTH" in finding.remedy
        assert ("on QuestDB's machine" in finding.remedy.replace("On", "on")) == (max_maps is None)


def test_idle_readers_that_keep_all_maps_are_named_where_maps_are_short() -> None:
    key = "cairo.inactive.reader.max.open.partitions"
    [many, few] = [
        judge_partitions(
            "QuestDB",
            Machine(65_530, 500),
            {key: value},
            table="prices",
            partition_by="DAY",
            partitions=4_750,
            columns=11,
        )
        for value in ("10000", "128")
    ]

    assert f"{key}=128" in many.remedy
    assert key not in few.remedy
    assert "LimitNOFILE" in few.remedy
