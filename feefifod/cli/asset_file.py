"""A CSV file of assets: read as a whole, with every error in its line."""

from __future__ import annotations

import csv
import io
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from feefifod.catalog import NewAsset
from feefifod.cli.asset_fields import check_description, check_name, check_quote, check_ticker
from feefifod.errors import BadInput, ConfigError
from feefifod.model import Category
from feefifod.parse.tiers import tier_of
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from feefifod.model import Tier

NEEDED: Final = ("ticker", "name", "category")
OPTIONAL: Final = ("quote_currency", "description")
_MOST_ERRORS: Final = 1000

NumberedAsset = tuple[int, NewAsset]
"""An asset with the number of the line that it begins in."""

NumberedError = tuple[int, BadInput]


def read_assets(file: Path, overrides: Mapping[Tier, Sequence[str]]) -> tuple[list[NumberedAsset], list[NumberedError]]:
    """Read the assets of a file, and all that is wrong with it.

    The header names the columns, in any order; optional ones may be missing. No quote currency means USD; blank lines
    do not count.

    Raises:
        BadInput: it cannot be read at all, or its header is not understood.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(file)) from error
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8 text", where=str(file), remedy="Save it as CSV in UTF-8") from None
    errors: list[NumberedError] = []
    records = list(_number_records(file, text, errors))
    if errors and not records:
        raise errors[0][1]
    header = _read_header(file, *(records[0] if records else (1, [])))
    if len(records) <= 1 and not errors:
        raise BadInput("there is no asset in it", where=str(file))
    good: list[NumberedAsset] = []
    seen: dict[tuple[str, Category], int] = {}
    for line, record in records[1:]:
        wrong: list[ConfigError] = []
        new = _read_record(header, record, overrides, wrong)
        errors += [(line, BadInput(error.why, where=f"{file}:{line}", remedy=error.remedy)) for error in wrong]
        if new is None:
            continue
        first = seen.setdefault((new.ticker, new.category), line)
        if first != line:
            why = f"{new.category} asset {new.ticker} is in line {first} already"
            errors.append((line, BadInput(why, where=f"{file}:{line}")))
        good.append((line, new))
    return good, errors


def refuse_all(file: Path, errors: Sequence[NumberedError]) -> ExceptionGroup[BadInput]:
    """Put all errors of a file into one that says them line by line."""
    shown = [error for _, error in sorted(errors, key=lambda numbered: numbered[0])][:_MOST_ERRORS]
    more = f", {count_of(len(errors) - len(shown), 'more error')} not shown" if len(errors) > len(shown) else ""
    return ExceptionGroup(str(file), [*shown, BadInput(f"nothing was imported{more}", where=str(file))])


def _read_header(file: Path, line: int, record: Sequence[str]) -> list[str]:
    """Read which column is which.

    Raises:
        BadInput: a needed one is missing, one is there twice, or one is unknown.
    """
    header = [name.strip().lower() for name in record]
    missing = [name for name in NEEDED if name not in header]
    unknown = [name for name in header if name not in NEEDED + OPTIONAL]
    twice = {name for name in header if header.count(name) > 1}
    found = {"it lacks": missing, "it has unknown columns": unknown, "it names twice": sorted(twice)}
    faults = [f"{what} {', '.join(map(repr, names))}" for what, names in found.items() if names]
    if faults:
        raise BadInput(
            f"the first line must name the columns: {'; '.join(faults)}",
            where=f"{file}:{line}",
            remedy=f"Needed are {','.join(NEEDED)}, in any order; {' and '.join(OPTIONAL)} are optional",
        )
    return header


def _number_records(file: Path, text: str, errors: list[NumberedError]) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with its line; where the text stops being CSV, that is an error more and the end."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        errors.append((line, BadInput(f"is no CSV: {error}", where=f"{file}:{line}")))


def _read_record(
    header: Sequence[str],
    record: Sequence[str],
    overrides: Mapping[Tier, Sequence[str]],
    wrong: list[ConfigError],
) -> NewAsset | None:
    """Read one asset; None when something is wrong with it, each fault of which is added to `wrong`."""
    if len(record) != len(header):
        remedy = "Put a text with a comma in it into double quotes"
        wrong.append(ConfigError(f"has {count_of(len(record), 'field')}, not {len(header)}", remedy=remedy))
        return None
    values = {name: value.strip() for name, value in zip(header, record, strict=True)}
    read: dict[str, Callable[[], Any]] = {
        "ticker": partial(check_ticker, values["ticker"]),
        "name": partial(check_name, values["name"]),
        "category": partial(_read_category, values["category"]),
        "quote_currency": partial(check_quote, values.get("quote_currency") or "USD"),
        "description": partial(check_description, values.get("description", "")),
    }
    fields: dict[str, Any] = {}
    for name, check in read.items():
        try:
            fields[name] = check()
        except ConfigError as error:
            wrong.append(error)
    if len(fields) < len(read):
        return None
    return NewAsset(tier=tier_of(fields["ticker"], overrides), **fields)


def _read_category(text: str) -> Category:
    try:
        return Category(text.upper())
    except ValueError:
        raise ConfigError(f"there is no category {text!r}: {', '.join(Category)}") from None
