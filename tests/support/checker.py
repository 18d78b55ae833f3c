"""What must be true after anything at all: asserted by every test of a promise.

I1 every valid row exactly once, and equal to the bit · I2 the ledger equals `ingested/` · I3 no input lost ·
I4 no lease left · I5 exits in time (asserted where a process ends, see `daemon`) · I6 no secret logged.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import struct
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import parquet

from tests.support.samples import PAIRS

Key = tuple[str, int, str, int]
"""Ticker, interval in minutes, quote, unix seconds."""
Values = tuple[bytes, bytes, bytes, bytes, bytes, int | None]
"""Open, high, low, close and volume as IEEE bits, and the trade count."""

_NUMBER: Final = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_COLUMNS: Final = ("open", "high", "low", "close", "volume")
_EARLIEST: Final = 1_230_768_000
_LATEST: Final = 2_000_000_000


@dataclass(frozen=True)
class Dropped:
    """What a test dropped."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Facts:
    """What is there after the dust has settled."""

    table: list[tuple[Key, Values]]
    ledger: list[dict[str, Any]]
    leases: int
    data: Path
    ingested: Path
    rejected: Path


def read_file(name: str, content: bytes) -> dict[Key, Values]:
    """Read the good rows of a file, line by line, independently of the product; of one time, the best row."""
    stem, _, minutes = name.rpartition("/")[2].removesuffix(".csv").rpartition("_")
    ticker, quote = PAIRS[stem]
    interval = int(minutes)
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    unterminated = lines.pop()
    fields = [line.rstrip(b"\r").split(b",") for line in lines if line.strip()]
    if fields and all(re.match(rb"\s*[A-Za-z]", field) for field in fields[0]):
        fields = fields[1:]
    width = 6 if fields and all(len(row) == 6 for row in fields) else 7
    del unterminated  # Whatever it holds, it is refused.
    best: dict[Key, tuple[tuple[int, float], Values]] = {}
    for row in fields:
        read = _read_row([field.decode("latin-1") for field in row], interval, width)
        if read is None:
            continue
        seconds, numbers, trades = read
        key = (ticker, interval, quote, seconds)
        rank = (trades or 0, numbers[4])
        if key not in best or rank >= best[key][0]:
            best[key] = (rank, _bits(numbers, trades))
    return {key: values for key, (_, values) in best.items()}


def _read_row(fields: list[str], interval: int, width: int) -> tuple[int, list[float], int | None] | None:
    if len(fields) != width or not all(_NUMBER.fullmatch(field) for field in fields):
        return None
    time, *numbers = (float(field) for field in fields)
    trades = numbers.pop() if width == 7 else None
    on_grid = time == int(time) and int(time) % (interval * 60) == 0 and _EARLIEST <= time <= _LATEST
    if not on_grid or any(number == float("inf") for number in numbers) or (trades is not None and trades % 1):
        return None
    return int(time), numbers, None if trades is None else int(trades)


def _bits(numbers: Sequence[float], trades: int | None) -> Values:
    one, two, three, four, five = (struct.pack(">d", number) for number in numbers)
    return one, two, three, four, five, trades


def expect_rows(dropped: Iterable[Dropped]) -> dict[Key, Values]:
    """Say what the table must hold, whatever was dropped together or one after the other.

    Of two rows of one candle, the larger trade count wins, then the larger volume, then the later drop; content
    that is known already is not loaded again.
    """
    expected: dict[Key, Values] = {}
    known: set[tuple[tuple[str, int, str], bytes]] = set()
    for drop in dropped:
        found = read_file(drop.name, drop.content)
        content = hashlib.sha256(drop.content).digest()
        if not found or ((series := next(iter(found))[:3]), content) in known:
            continue
        known.add((series, content))
        for key, values in found.items():
            if key not in expected or _rank(values) >= _rank(expected[key]):
                expected[key] = values
    return expected


def _rank(values: Values) -> tuple[int, float]:
    return values[5] or 0, struct.unpack(">d", values[4])[0]


def read_table(url: str, table: str, assets: dict[int, str]) -> list[tuple[Key, Values]]:
    """Read a whole table as Parquet, the way that keeps every bit of a double."""
    question = urllib.parse.urlencode({"query": f"SELECT * FROM {table}", "fmt": "parquet"})
    with urllib.request.urlopen(f"{url}/exp?{question}", timeout=60) as answer:
        stored = parquet.read_table(io.BytesIO(answer.read()))
    columns = {name: stored[name].to_pylist() for name in stored.column_names if name != "time"}
    times = stored["time"].cast(pa.int64()).to_pylist()
    assert set(columns["source"]) <= {"kraken"}
    assert all(time % 1_000_000 == 0 for time in times)
    result = []
    for place, time in enumerate(times):
        asset = assets[columns["asset_id"][place]]
        key = (asset, columns["interval_minutes"][place], columns["quote_currency"][place], time // 1_000_000)
        numbers = [columns[name][place] for name in _COLUMNS]
        result.append((key, _bits(numbers, columns["trade_count"][place])))
    return result


def check(
    facts: Facts, dropped: Sequence[Dropped], *, logs: str, secrets: Sequence[str], finished: bool = True
) -> None:
    """Assert the invariants; with `finished`, that nothing is left to do either."""
    check_rows(facts.table, expect_rows(dropped) if finished else None, dropped)
    check_ledger(facts, finished=finished)
    check_inputs(facts, dropped)
    assert facts.leases == 0, "a lease is left"
    for secret in secrets:
        assert secret not in logs, "a secret was logged"


def check_rows(
    table: Sequence[tuple[Key, Values]], expected: dict[Key, Values] | None, dropped: Sequence[Dropped]
) -> None:
    """I1: every valid row exactly once, to the bit. Without `expected`, no row that nobody dropped, none twice."""
    counts = Counter(key for key, _ in table)
    twice = [key for key, count in counts.items() if count > 1]
    assert not twice, f"{len(twice)} keys are stored more than once, such as {twice[0]}"
    stored = dict(table)
    if expected is None:
        possible = {item for drop in dropped for item in read_file(drop.name, drop.content).items()}
        foreign = [item for item in stored.items() if item not in possible]
        assert not foreign, f"{len(foreign)} rows are stored that nobody dropped, such as {foreign[0]}"
        return
    missing, extra = expected.keys() - stored.keys(), stored.keys() - expected.keys()
    assert not missing, f"{len(missing)} of {len(expected)} rows are missing, such as {min(missing)}"
    assert not extra, f"{len(extra)} rows are too many, such as {min(extra)}"
    wrong = [key for key in expected if expected[key] != stored[key]]
    assert not wrong, f"{len(wrong)} rows differ, such as {wrong[0]}: {stored[wrong[0]]} for {expected[wrong[0]]}"


def check_ledger(facts: Facts, *, finished: bool) -> None:
    """I2: what the ledger calls done is in `ingested/` with that content, and nothing else is."""
    archived = {path for path in facts.ingested.rglob("*") if path.is_file()}
    refused = {path for path in facts.rejected.rglob("*") if path.is_file()}
    for row in facts.ledger:
        state, where = row["state"], row["moved_to"]
        if finished:
            assert state not in {"waiting", "loading", "moving"}, row
        if state not in {"done", "duplicate", "rejected"}:
            continue
        assert where is not None, f"{row['name']} is {state}, and it is nowhere: {row['reason']}"
        path = Path(os.fsdecode(where))
        assert path.is_file(), f"{row['name']} is {state}, but {path} is not there"
        if state == "rejected":
            assert path in refused
            assert json.loads(path.with_name(path.name + ".reason.json").read_text())["reason"] == row["reason"]
        else:
            assert path in archived
            assert hashlib.sha256(path.read_bytes()).digest() == row["sha256"], f"{path} has another content"
            archived.remove(path)
    if finished:
        assert not archived, f"nothing is known of {archived}"


def check_inputs(facts: Facts, dropped: Sequence[Dropped]) -> None:
    """I3: everything dropped is somewhere, unless it held no data row at all."""
    made = (".reason.json", ".rows.csv")
    found: Counter[str] = Counter()
    for folder in (facts.data, facts.ingested, facts.rejected):
        for path in folder.rglob("*"):
            if path.is_file() and not (folder == facts.rejected and path.name.endswith(made)):
                found[hashlib.sha256(path.read_bytes()).hexdigest()] += 1
    for drop in dropped:
        digest = hashlib.sha256(drop.content).hexdigest()
        if _has_data(drop.content):
            assert found[digest] > 0, f"{drop.name} is lost"
        if found[digest]:
            found[digest] -= 1
    strange = +found
    assert not strange, f"{strange.total()} files have a content that nobody dropped"


def _has_data(content: bytes) -> bool:
    lines = [line for line in content.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    return bool(lines) and not (len(lines) == 1 and re.match(rb"\s*[A-Za-z]", lines[0]) is not None)
