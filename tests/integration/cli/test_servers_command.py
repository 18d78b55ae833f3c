"""`feefifod servers`: up, used and down; commands that need a server start it and leave none behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil

from feefifod.servers import Endpoints
from tests.support.embedded import servers_below
from tests.support.project import Project

NOTHING = {"questdb": None, "postgres": None, "users": [], "kept_up": False}


def read(project: Project) -> Any:
    return project.succeed("servers", "status", "--json").document


def test_a_question_starts_questdb_alone_and_leaves_nothing(embedded_project: Project) -> None:
    outcome = embedded_project.succeed("query", "--json", "SELECT 6 * 7 answer")

    assert outcome.document["rows"] == [[42]]
    assert read(embedded_project) == NOTHING
    assert not (embedded_project.folder / ".feefifod" / "postgres").exists()
    assert servers_below(embedded_project.folder) == []


def test_servers_that_are_kept_up_serve_commands_until_down(embedded_project: Project) -> None:
    assert read(embedded_project) == NOTHING
    assert "None is running" in embedded_project.succeed("servers", "status").out
    try:
        up = embedded_project.succeed("servers", "up", "--json").document
        assert up["kept_up"] is True
        assert up["users"] == []
        assert psutil.pid_exists(up["questdb"]["pid"])
        assert up["postgres"]["url"].startswith("postgresql://feefifod@127.0.0.1:")
        assert read(embedded_project) == up
        people = embedded_project.succeed("servers", "status").out
        assert up["questdb"]["url"] in people
        assert up["postgres"]["url"] in people

        arguments = ["--ticker", "GLD", "--name", "Gold", "--category", "COMMODITY", "--json"]
        embedded_project.succeed("create-asset", *arguments)
        embedded_project.succeed("setup-questdb-schema")
        status = embedded_project.succeed("status", "--json").document
        assert (status["questdb"]["url"], status["questdb"]["rows"]) == (up["questdb"]["url"], 0)
        assert status["postgres"]["reachable"] is True
        assert status["files"]["waiting"] == 0
        assert read(embedded_project) == up
    finally:
        down = embedded_project.run("servers", "down", "--json")

    assert (down.code, down.document) == (0, NOTHING)
    assert servers_below(embedded_project.folder) == []
    assert embedded_project.succeed("servers", "down", "--json").document == NOTHING


def test_a_busy_port_is_named_with_its_holder(embedded_project: Project, pair: Endpoints) -> None:
    port = pair.questdb_url.rpartition(":")[2]
    config = embedded_project.folder / "config.toml"
    config.write_text(config.read_text().replace("http_port = 0", f"http_port = {port}"))

    outcome = embedded_project.run("query", "SELECT 1")

    assert outcome.code == 2
    assert f"port {port}" in outcome.err
    assert "java" in outcome.err


def test_external_servers_are_left_alone(project: Project, tmp_path: Path) -> None:
    for action in ("up", "status", "down"):
        assert "external QuestDB and PostgreSQL" in project.succeed("servers", action).out
    assert not (tmp_path / ".feefifod").exists()
