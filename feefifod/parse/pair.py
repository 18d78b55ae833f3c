"""Splitting a pair's name into base and quote, and Kraken's codes into common tickers."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from feefifod.errors import BadInput
from feefifod.model import Category, Pair

_SPELLING: Final = re.compile(r"[A-Z0-9][A-Z0-9.]{0,23}")


def split_pair(altname: str) -> Pair:
    """Split a pair's name: `XBTUSD`, an API key like `XXBTZUSD`, or the common spelling `BTCUSD`.

    An exact table is asked first, then the longest quote currency that leaves a base (facts: Kraken's pair names). The
    leading X and Z of the API are never stripped by rule: `XTZEUR` is XTZ in EUR, `CHZUSD` is CHZ in USD.

    Raises:
        BadInput: no known quote currency at the end, nothing before it, or characters that no pair has.
    """
    tables = _read_tables()
    if not _SPELLING.fullmatch(altname):
        raise BadInput(_explain_spelling(altname), where=ascii(altname))
    base, quote = tables.exact.get(altname) or _split_at_quote(altname, tables)
    return Pair(
        altname=altname,
        base=tables.codes.get(base, base),
        ticker=tables.tickers.get(base, base),
        quote=tables.tickers.get(quote, quote),
        category=Category.CURRENCY if base in tables.fiat else Category.CRYPTO,
    )


def list_codes(ticker: str) -> tuple[str, ...]:
    """Return the ways to write an asset: its common ticker, and Kraken's code where it differs."""
    code = _read_tables().codes.get(ticker)
    return (ticker,) if code is None else (ticker, code)


@dataclass(frozen=True, slots=True)
class _Tables:
    """What `pairs.toml` says, ready for look-ups.

    Attributes:
        quotes: the quote currencies, without those that only exact names may end in.
        quote_lengths: longest first.
        exact: a whole name -> Kraken's codes of base and quote.
        tickers: Kraken's code -> common ticker; codes: the way back.
    """

    quotes: frozenset[str]
    quote_lengths: tuple[int, ...]
    fiat: frozenset[str]
    exact: dict[str, tuple[str, str]]
    tickers: dict[str, str]
    codes: dict[str, str]


@cache
def _read_tables() -> _Tables:
    text = (resources.files(__package__) / "pairs.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    exact = {name: (base, quote) for name, (base, quote) in data["exceptions"].items()}
    for keys in (data["api_keys"], data["former_api_keys"]):
        for base, quotes in keys.items():
            exact |= {base + quote: (_strip_class(base), _strip_class(quote)) for quote in quotes}
    return _Tables(
        quotes=frozenset(data["quotes"]),
        quote_lengths=tuple(sorted({len(quote) for quote in data["quotes"]}, reverse=True)),
        fiat=frozenset(data["fiat"]),
        exact=exact,
        tickers=data["tickers"],
        codes={ticker: code for code, ticker in data["tickers"].items()},
    )


def _strip_class(code: str) -> str:
    """Turn an API code of the exact table into the plain one: only there does a first X or Z of four mean a class."""
    return code[1:] if len(code) == 4 and code[0] in "XZ" else code


def _split_at_quote(altname: str, tables: _Tables) -> tuple[str, str]:
    for length in tables.quote_lengths:
        if len(altname) > length and altname[-length:] in tables.quotes:
            return altname[:-length], altname[-length:]
    if altname in tables.quotes:
        raise BadInput(f"nothing stands before the quote currency {altname}", where=altname)
    raise BadInput(f"{altname} ends in no known quote currency (USD, EUR, XBT, ETH, USDT, ...)", where=altname)


def _explain_spelling(altname: str) -> str:
    upper = altname.upper()
    if altname.isascii() and upper != altname and _SPELLING.fullmatch(upper):
        return f"pair names are upper case; did you mean {upper}?"
    if len(altname) > 24:
        return "no pair has a name of more than 24 characters"
    return "a pair's name consists of A to Z, 0 to 9 and dots, and does not begin with a dot"
