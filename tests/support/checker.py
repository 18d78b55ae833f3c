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
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import parquet

from tests.support.embedded import get
from tests.support.samples import PAIRS

Key = tuple[str, int, str, int]
"""Ticker, interval in minutes, quote, unix seconds."""
Values = tuple[bytes, bytes, bytes, bytes, bytes, int | None]
"""Open, high, low, close and volume as IEEE bits, and the trade count."""

_NUMBER: Final = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_OHLCVT: Final = re.compile(r"([A-Z0-9]+)_\d+\.csv", re.ASCII)
_PART: Final = re.compile(r"(.+\.zip)\.part\d+")
_COLUMNS: Final = ("open", "high", "low", "close", "volume")
_INTERVALS: Final = (1, 5, 15, 30, 60, 240, 720, 1440)
_NO_TEXT: Final = (b"\x1f\x8b", b"PK", b"\xff\xfe", b"\xfe\xff")
_HEAD_BYTES: Final = 64 * 1024
"""How far NUL bytes mean that a file is no text; further on they are part of a bad row."""
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
    zips: Path
    rejected: Path


def open_zips(dropped: Iterable[Dropped]) -> Iterator[Dropped]:
    """Put the members that are OHLCVT files in the place of each zip; a split one counts where its last part is."""
    parts: dict[str, dict[str, bytes]] = defaultdict(dict)
    for drop in dropped:
        if part := _PART.fullmatch(drop.name):
            parts[part[1]][drop.name] = drop.content
            content = b"".join(piece for _, piece in sorted(parts[part[1]].items()))
        elif drop.name.endswith(".zip"):
            content = drop.content
        else:
            yield drop
            continue
        try:
            yield from _read_members(content)
        except (zipfile.BadZipFile, zlib.error, ValueError):
            continue  # It holds nothing that can be relied on, or nothing yet.


def _read_members(content: bytes) -> list[Dropped]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        wanted = [info for info in archive.infolist() if "__MACOSX" not in info.filename]
        return [
            Dropped(info.filename, archive.read(info))
            for info in wanted
            if (name := _OHLCVT.fullmatch(info.filename.rpartition("/")[2])) and name[1] in PAIRS
        ]


def read_file(name: str, content: bytes) -> dict[Key, Values]:
    """Read the good rows of a file, line by line, independently of the product; of one time, the best row."""
    stem, _, minutes = name.rpartition("/")[2].removesuffix(".csv").rpartition("_")
    ticker, quote = PAIRS[stem]
    interval = int(minutes)
    if interval not in _INTERVALS or content.startswith(_NO_TEXT) or b"\0" in content[:_HEAD_BYTES]:
        return {}
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
    if _is_of_another_interval(fields, interval):
        return {}
    return {key: values for key, (_, values) in best.items()}


def _is_of_another_interval(rows: Sequence[Sequence[bytes]], interval: int) -> bool:
    """Tell whether a file of samples is refused as a whole: most times are off the grid."""
    times = [int(row[0]) for row in rows if re.fullmatch(rb"1[0-9]{9}", row[0])]
    off_grid = sum(time % (interval * 60) != 0 for time in times)
    return 2 * off_grid > len(rows)


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
    for drop in open_zips(dropped):
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
    content = _export(f"{url}/exp?{question}")
    if content is None:
        return []
    stored = parquet.read_table(io.BytesIO(content))
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


def _export(url: str) -> bytes | None:
    """Fetch an export; None when there is no such table."""
    try:
        return get(url, seconds=60)
    except urllib.error.HTTPError as error:
        # Whoever keeps the error would keep its connection, of which the server has few.
        with error:
            text = error.read().decode()
        if "does not exist" in text:
            return None
        raise AssertionError(text) from None


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
    table: Sequence[tuple[Key, Values]],
    expected: dict[Key, Values] | None,
    dropped: Sequence[Dropped],
    *,
    doubtful: Sequence[Dropped] = (),
) -> None:
    """I1: every valid row exactly once, to the bit. Without `expected`, no row that nobody dropped, none twice.

    Rows of `doubtful` content may be there, too: in keys of their own, or where they are as good as what is expected.
    """
    counts = Counter(key for key, _ in table)
    twice = [key for key, count in counts.items() if count > 1]
    assert not twice, f"{len(twice)} keys are stored more than once, such as {twice[0]}"
    stored = dict(table)
    if expected is None:
        possible = {item for drop in open_zips(dropped) for item in read_file(drop.name, drop.content).items()}
        foreign = [item for item in stored.items() if item not in possible]
        assert not foreign, f"{len(foreign)} rows are stored that nobody dropped, such as {foreign[0]}"
        return
    expected = dict(expected)
    for drop in open_zips(doubtful):
        for key, values in read_file(drop.name, drop.content).items():
            if stored.get(key) == values and (key not in expected or _rank(values) >= _rank(expected[key])):
                expected[key] = values
    missing, extra = expected.keys() - stored.keys(), stored.keys() - expected.keys()
    assert not missing, f"{len(missing)} of {len(expected)} rows are missing, such as {min(missing)}"
    assert not extra, f"{len(extra)} rows are too many, such as {min(extra)}"
    wrong = [key for key in expected if expected[key] != stored[key]]
    assert not wrong, f"{len(wrong)} rows differ, such as {wrong[0]}: {stored[wrong[0]]} for {expected[wrong[0]]}"


def check_ledger(facts: Facts, *, finished: bool, destroyed: Collection[bytes] = ()) -> None:
    """I2: what the ledger calls done is in `ingested/` with that content, and nothing else is.

    Content (by its hash) that its owner has `destroyed` before it was moved is nowhere.
    """
    archived = {path for folder in (facts.ingested, facts.zips) for path in folder.rglob("*") if path.is_file()}
    refused = {path for path in facts.rejected.rglob("*") if path.is_file()}
    zips = {row["sha256"]: row for row in facts.ledger if row["is_zip"]}
    for row in facts.ledger:
        state, where = row["state"], row["moved_to"]
        if finished:
            assert state not in {"waiting", "loading", "moving"}, row
        if state not in {"done", "duplicate", "rejected"}:
            continue
        if row["member"] is not None and state != "rejected":
            assert where is None, f"{row['name']} is kept twice"
            known = row["zip_sha256"] in zips or row["zip_sha256"] in destroyed
            assert known, f"nothing is known of the zip of {row['name']}"
            continue
        if where is None and row["sha256"] in destroyed:
            continue
        assert where is not None, f"{row['name']} is {state}, and it is nowhere: {row['reason']}"
        path = Path(os.fsdecode(where))
        assert path.is_file(), f"{row['name']} is {state}, but {path} is not there"
        if state == "rejected":
            assert path in refused
            assert json.loads(path.with_name(path.name + ".reason.json").read_text())["reason"] == row["reason"]
            continue
        pieces = [path]
        if _PART.fullmatch(path.name):
            pieces = sorted(other for other in archived if _PART.fullmatch(other.name) and _of_one_zip(other, path))
        assert archived.issuperset(pieces)
        content = b"".join(piece.read_bytes() for piece in pieces)
        assert hashlib.sha256(content).digest() == row["sha256"], f"{path} has another content"
        archived.difference_update(pieces)
    if finished:
        assert not archived, f"nothing is known of {archived}"


def _of_one_zip(one: Path, other: Path) -> bool:
    return one.name.rpartition(".part")[0] == other.name.rpartition(".part")[0]


def check_inputs(facts: Facts, dropped: Sequence[Dropped], replaced: Sequence[Dropped] = ()) -> None:
    """I3: everything dropped is somewhere, unless it held no data row at all.

    Args:
        replaced: what its owner may have put something else in the place of, while a load of it was cut.
    """
    made = (".reason.json", ".rows.csv")
    found: Counter[str] = Counter()
    for folder in (facts.data, facts.ingested, facts.zips, facts.rejected):
        for path in folder.rglob("*"):
            if path.is_file() and not (folder == facts.rejected and path.name.endswith(made)):
                found[hashlib.sha256(path.read_bytes()).hexdigest()] += 1
    for drop in dropped:
        digest = hashlib.sha256(drop.content).hexdigest()
        if _has_data(drop.content):
            assert found[digest] > 0, f"{drop.name} is lost"
        if found[digest]:
            found[digest] -= 1
    # A member that is refused is kept beside its reason, though the zip has it, too; or had it, and was replaced.
    zips = [drop for drop in replaced if drop.name.endswith(".zip")]
    found -= Counter(hashlib.sha256(drop.content).hexdigest() for drop in open_zips([*dropped, *zips]))
    strange = +found
    assert not strange, f"{strange.total()} files have a content that nobody dropped"


def _has_data(content: bytes) -> bool:
    lines = [line for line in content.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    return bool(lines) and not (len(lines) == 1 and re.match(rb"\s*[A-Za-z]", lines[0]) is not None)
