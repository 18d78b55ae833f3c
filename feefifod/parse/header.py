"""A header: the line that names the columns, in any order and with the names that people use."""

from __future__ import annotations

import csv
import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Final

from feefifod.errors import BadInput
from feefifod.model import Series
from feefifod.parse.line import MAX_LINE_BYTES, escape
from feefifod.parse.pair import list_codes

COLUMNS: Final = ("time", "open", "high", "low", "close", "volume", "trades")
"""What a row has, in the order of Kraken's files; only the last may be missing."""

# More than `line` calls a number, so that a bad first row is refused as a row, never taken for a header.
_LIKE_A_NUMBER: Final = re.compile(
    rb"""[\s"']*(?:[+-]?\.?[0-9]|[+-]?(?:nan|inf|infinity|null|none|n/?a)[\s"']*$)""", re.IGNORECASE
)
_LETTER: Final = re.compile(rb"[A-Za-z]")
_NOISE: Final = re.compile(r"[^a-z0-9]")
_WRAPPING: Final = " \t\r\n\"'#<>\ufeff"

_REMEDY: Final = (
    "Name the columns time, open, high, low, close, volume and trades, and others vwap, date or symbol;"
    " or take the header away where the columns have this order"
)


class _Role(StrEnum):
    """What a column can be, beside one of `COLUMNS`."""

    SYMBOL = "symbol"
    PASSED_OVER = "passed over"


@dataclass(frozen=True, slots=True)
class _Names:
    """What `header.toml` says.

    Attributes:
        times: name -> how sure it is, 0 is the surest.
        columns: name -> column of `COLUMNS` or role.
    """

    times: dict[str, int]
    columns: dict[str, str]
    base_units: frozenset[str]
    quote_units: frozenset[str]


@cache
def _read_names() -> _Names:
    data = tomllib.loads((resources.files(__package__) / "header.toml").read_text(encoding="utf-8"))
    columns = {name: column for column in COLUMNS[1:] for name in data[column]}
    columns |= dict.fromkeys(data["symbols"], _Role.SYMBOL) | dict.fromkeys(data["passed_over"], _Role.PASSED_OVER)
    return _Names(
        times={name: rank for rank, names in enumerate(data["times"]) for name in names},
        columns=columns,
        base_units=frozenset(data["base_units"]),
        quote_units=frozenset(data["quote_units"]),
    )


@dataclass(frozen=True, slots=True)
class Layout:
    """Which field of a row means what.

    Attributes:
        width: how many fields a row has.
        places: where time, open, high, low, close, volume and, if there is one, the trade count stand.
        symbols: where the name of the pair stands; it has to be the same in all rows.
        spelled_plainly: names without quotes, and a time in unix seconds by its name.
    """

    width: int
    places: tuple[int, ...]
    symbols: tuple[int, ...] = ()
    spelled_plainly: bool = True

    @property
    def in_order(self) -> bool:
        """Whether rows look as in a file without a header."""
        return self.places == tuple(range(self.width))

    @property
    def self_evident(self) -> bool:
        """Whether rows mean the same without their header."""
        return self.in_order and self.spelled_plainly


def split_fields(line: bytes) -> list[bytes]:
    """Split a line of a file that has a header: a field may stand in quotes, and blanks around it mean nothing."""
    if b'"' in line:
        try:
            [fields] = csv.reader([line.decode("latin-1")], skipinitialspace=True)
            return [field.strip(" ").encode("latin-1") for field in fields]
        except (csv.Error, ValueError):
            pass
    return [field.strip(b" ") for field in line.split(b",")]


def looks_like_header(line: bytes, *, among_rows: bool) -> bool:
    """Tell whether a line has to be taken for a header: names, none of them like a number.

    Args:
        among_rows: whether rows came before it; then it must have names that are known, so that a damaged row is not
            taken for one.
    """
    if len(line) > MAX_LINE_BYTES or b"," not in line or not _LETTER.search(line):
        return False
    names = split_fields(line.rstrip(b"\r\n"))
    if any(_LIKE_A_NUMBER.match(name) or (name and not _LETTER.search(name) and name != b"#") for name in names):
        return False
    known = sum(_is_known(_simplify(_show(name))) for name in names)
    return known >= 4 if among_rows else known >= 2 or (len(names) >= 6 and all(names))


def read_header(line: bytes, line_number: int, series: Series | None = None) -> Layout:
    """Read which column means what.

    Args:
        series: what the file's name says; it tells in which currency a column like `Volume BTC` is.

    Raises:
        BadInput: it cannot be understood; the error names line, column and word.
    """
    words = [_show(text) for text in split_fields(line.rstrip(b"\r\n"))]
    ranks = _read_names().times
    found: dict[str, list[int]] = defaultdict(list)
    for place, word in enumerate(words):
        role = _find_role(word, series)
        if role is None:
            raise BadInput(
                f"the header's word {word!r} is not understood",
                where=f"line {line_number}, column {place + 1}",
                remedy=_REMEDY,
            )
        found[role].append(place)
    rank = min((ranks[_simplify(words[place])] for place in found["time"]), default=0)
    found["time"] = [place for place in found["time"] if ranks[_simplify(words[place])] == rank]
    for column in COLUMNS:
        if len(places := found[column]) > 1:
            twice = " and ".join(f"{words[place]!r} (column {place + 1})" for place in places)
            raise BadInput(
                f"the header names the {column} more than once: {twice}", where=f"line {line_number}", remedy=_REMEDY
            )
    if missing := [column for column in COLUMNS[:6] if not found[column]]:
        raise BadInput(
            f"the header names no column for {' and '.join(missing)}: {escape(line[:200].strip())}",
            where=f"line {line_number}",
            remedy=_REMEDY,
        )
    return Layout(
        width=len(words),
        places=tuple(found[column][0] for column in COLUMNS if found[column]),
        symbols=tuple(found[_Role.SYMBOL]),
        spelled_plainly=b'"' not in line and rank < max(ranks.values()),
    )


def describe_layout(layout: Layout) -> str:
    """Say in words how rows are read."""
    names = dict(zip(layout.places, COLUMNS, strict=False)) | dict.fromkeys(layout.symbols, "(symbol)")
    order = ", ".join(names.get(place, "(passed over)") for place in range(layout.width))
    return f"its header is read as: {order}" + ("" if len(layout.places) == len(COLUMNS) else "; without trades")


def _show(text: bytes) -> str:
    return escape(text).strip(_WRAPPING)


def _simplify(word: str) -> str:
    return _NOISE.sub("", word.lower())


def _is_known(name: str) -> bool:
    names = _read_names()
    role = names.columns.get(name)
    return name in names.times or _volume_unit(name) is not None or role not in (None, _Role.PASSED_OVER)


def _find_role(word: str, series: Series | None) -> str | None:
    """Return the column or the role that a word stands for; None when it is not understood."""
    name, names = _simplify(word), _read_names()
    if word in ("", "#"):
        return _Role.PASSED_OVER  # The numbers of rows, as pandas writes them; or a comma at the end of every line.
    if name in names.times:
        return "time"
    if role := names.columns.get(name):
        return role
    unit = _volume_unit(name)
    if unit is None:
        return None
    base, quote = (list_codes(series.ticker), list_codes(series.quote)) if series else ((), ())
    if unit in names.base_units or unit.upper() in base:
        return "volume"
    return _Role.PASSED_OVER if unit in names.quote_units or unit.upper() in quote else None


def _volume_unit(name: str) -> str | None:
    """Return what is left of the name of a volume; None when it is none."""
    for word in ("volume", "vol"):
        if name.startswith(word):
            return name.removeprefix(word)
        if name.endswith(word):
            return name.removesuffix(word)
    return None
