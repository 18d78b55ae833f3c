"""Every line of the guarantees names the tests that show it, and these exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")


def named_tests() -> list[tuple[str, str]]:
    """List what the page names: file and test."""
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)", PAGE)


def test_every_named_test_exists() -> None:
    defined = {
        (file, node.name)
        for file in {file for file, _ in named_tests()}
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert [name for name in named_tests() if name not in defined] == []


def test_every_row_of_a_table_is_shown_by_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and not re.match(r"\|[\s|-]+$", line)]
    bare = [row for row in rows if "`tests/" not in row]
    assert len(rows) > 40
    # The heads of the tables.
    assert [row for row in bare if "shown by" not in row] == []
