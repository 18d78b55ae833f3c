"""Tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from feefifod.log import escape_controls
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence


def make_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Collection[str] = ()) -> Table:
    """Make a table whose cells wrap where the terminal is too narrow, so that nothing is cut away.

    Args:
        rows: values as they are; None stays empty, foreign text is made harmless.
        right: columns of numbers, aligned to the right.
    """
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(_cell(name), justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def make_facts(facts: Iterable[tuple[str, object]]) -> Table:
    """Make a list of names and values; a `Text` keeps its style."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(_cell(name), value if isinstance(value, Text) else _cell(value))
    return table


def count_rows(rows: int) -> str:
    """Say how many rows."""
    return count_of(rows, "row")


def _cell(value: object) -> Text:
    if value is None:
        return Text("")
    if isinstance(value, bool):
        return Text("true" if value else "false")
    return Text(escape_controls(str(value)))
