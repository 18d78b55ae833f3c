"""A CSV file of assets: read as a whole, with every error in its line."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from feefifod.catalog import NewAsset
from feefifod.cli.asset_fields import check_description, check_name, check_quote, check_ticker
from feefifod.errors import BadInput, ConfigError
from feefifod.model import Category
from feefifod.parse.tiers import tier_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from feefifod.model import Tier

COLUMNS: Final = ("ticker", "name", "category", "quote_currency", "description")
_MOST_ERRORS: Final = 50

NumberedAsset = tuple[int, NewAsset]
"""An asset with the number of the line that it begins in."""

NumberedError = tuple[int, BadInput]


def read_assets(file: Path, overrides: Mapping[Tier, Sequence[str]]) -> tuple[list[NumberedAsset], list[NumberedError]]:
    """Read the assets of a file, and all that is wrong with it.

    An empty quote currency is USD; blank lines do not count.

    Raises:
        BadInput: it cannot be read as CSV with the right header at all.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(file)) from error
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8 text", where=str(file), remedy="Save it as CSV in UTF-8") from None
    records = list(_number_records(file, text))
    header = [name.strip().lower() for name in records[0][1]] if records else []
    if sorted(header) != sorted(COLUMNS):
        raise BadInput(
            "the first line must name the columns",
            where=f"{file}:{records[0][0] if records else 1}",
            remedy=f"Write: {','.join(COLUMNS)}",
        )
    if len(records) == 1:
        raise BadInput("there is no asset in it", where=str(file))
    good: list[NumberedAsset] = []
    errors: list[NumberedError] = []
    seen: dict[tuple[str, Category], int] = {}
    for line, record in records[1:]:
        try:
            new = _read_record(header, record, overrides)
        except ConfigError as error:
            errors.append((line, BadInput(error.why, where=f"{file}:{line}", remedy=error.remedy)))
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
    more = f", {len(errors) - len(shown)} more errors are not shown" if len(errors) > len(shown) else ""
    return ExceptionGroup(str(file), [*shown, BadInput(f"nothing was imported{more}", where=str(file))])


def _number_records(file: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadInput(f"is no CSV: {error}", where=f"{file}:{line}") from None


def _read_record(header: Sequence[str], record: Sequence[str], overrides: Mapping[Tier, Sequence[str]]) -> NewAsset:
    if len(record) != len(header):
        raise ConfigError(
            f"has {len(record)} fields, not {len(header)}", remedy="Put a text with a comma in it into double quotes"
        )
    values = {name: value.strip() for name, value in zip(header, record, strict=True)}
    try:
        category = Category(values["category"].upper())
    except ValueError:
        raise ConfigError(f"there is no category {values['category']!r}: {', '.join(Category)}") from None
    ticker = check_ticker(values["ticker"])
    return NewAsset(
        ticker=ticker,
        name=check_name(values["name"]),
        category=category,
        tier=tier_of(ticker, overrides),
        quote_currency=check_quote(values["quote_currency"] or "USD"),
        description=check_description(values["description"]),
    )
