"""`feefifod query`: a table for people, complete JSON and CSV, and errors with their place."""

from __future__ import annotations

import csv
import io

import pytest

from tests.support.project import Project


def test_json_is_columns_and_rows(project: Project) -> None:
    outcome = project.succeed("query", "--json", "SELECT 1 a, 0.1 b, 'x' c, true d, null e")

    assert outcome.document == {"columns": ["a", "b", "c", "d", "e"], "rows": [[1, 0.1, "x", True, None]]}


def test_csv_quotes_and_leaves_null_empty(project: Project) -> None:
    outcome = project.succeed("query", "--csv", "SELECT 1 a, 'x,\"y' b, true c, cast(null AS INT) d")

    assert outcome.out.splitlines()[1].endswith(",true,")
    assert list(csv.reader(io.StringIO(outcome.out))) == [["a", "b", "c", "d"], ["1", 'x,"y', "true", ""]]


def test_the_table_for_people_is_cut_and_says_so_and_the_others_are_complete(project: Project) -> None:
    sql = "SELECT x FROM long_sequence(250)"

    people, machine = project.succeed("query", sql), project.succeed("query", "--csv", sql)

    assert [line.strip() for line in people.out.splitlines()] == ["x", *map(str, range(1, 101))]
    assert "first 100 rows; there are more" in people.err
    assert machine.out.splitlines() == ["x", *map(str, range(1, 251))]


def test_an_empty_answer_is_fine(project: Project) -> None:
    sql = "SELECT x FROM long_sequence(5) WHERE x > 9"

    assert project.succeed("query", "--json", sql).document == {"columns": ["x"], "rows": []}
    assert project.succeed("query", "--csv", sql).out == "x\n"
    assert "0 rows" in project.succeed("query", sql).err


def test_a_statement_without_an_answer_is_carried_out(project: Project) -> None:
    project.succeed("query", f"CREATE TABLE {project.table} (a INT)")

    assert project.succeed("query", "--json", f"SELECT count() FROM {project.table}").document["rows"] == [[0]]
    assert project.succeed("query", "--json", f"DROP TABLE {project.table}").document == {"columns": [], "rows": []}


def test_an_error_in_the_sql_is_shown_with_its_position(project: Project) -> None:
    outcome = project.run("query", "--json", "SELECT 1 a WHERE 1 = 2")

    assert (outcome.code, outcome.out) == (1, "")
    assert "position 11" in outcome.err


@pytest.mark.parametrize("arguments", [[], [""], [" ; "], ["--json", "--csv", "SELECT 1"]])
def test_wrong_usage(project: Project, arguments: list[str]) -> None:
    assert project.run("query", *arguments).code == 2


def test_a_server_that_is_away_is_named(project: Project) -> None:
    (project.folder / "config.toml").write_text('databases.questdb.url = "http://127.0.0.1:1"\n')

    outcome = project.run("query", "SELECT 1")

    assert outcome.code == 1
    assert "http://127.0.0.1:1" in outcome.err
