"""The lane for large frames where the server sees a folder of ours: Parquet, then one INSERT."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import socket
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import numpy as np
import pyarrow as pa
from anyio import to_thread
from pyarrow import parquet

from feefifod.birth import birth
from feefifod.errors import FeefifodError, Unavailable
from feefifod.failpoint import Step, reach
from feefifod.patience import OnTrouble, keep_silent, persist
from feefifod.sink.lane import Receipt
from feefifod.sink.sql import Identifier, load_statements, render

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from feefifod.model import Frame
    from feefifod.sink.sql import QuestDBClient

_SQL: Final = load_statements("bulk.sql")
_NAME: Final = re.compile(r"feefifod-(?P<host>[0-9a-f]{12})-(?P<pid>\d+)-(?P<started>\d+)-\d+\.parquet")
_FOREIGN_AGE_SECONDS: Final = 86_400.0
"""Files of another host's processes are leftovers after a day: no statement lives that long."""
_STATEMENT_SECONDS: Final = 300.0
_PROBE: Final = np.array([1, 2, 3], np.int32)


class BulkLane:
    """Hands frames over as Parquet files, each inserted by one atomic statement.

    Args:
        client: the server.
        table: the table.
        import_dir: the folder that the server knows as its `cairo.sql.copy.root`.
        on_trouble: told of every failed attempt that will be repeated.
        statements: how many inserts at the same time.
    """

    name = "bulk"

    def __init__(
        self,
        client: QuestDBClient,
        table: str,
        import_dir: Path,
        *,
        on_trouble: OnTrouble = keep_silent,
        statements: int = 2,
    ) -> None:
        self._client = client
        self._table = table
        self._dir = import_dir
        self._on_trouble = on_trouble
        self._statements = anyio.Semaphore(statements)
        self._writers = anyio.CapacityLimiter(1)
        self._numbers = itertools.count(1)
        self._stem = f"feefifod-{_host()}-{os.getpid()}-{birth(os.getpid())}"

    async def probe(self) -> str | None:
        """Prove that the server reads a file that we write; return None, or the reason why it does not."""
        try:
            path = await self._write(pa.table({"probe": _wrap(_PROBE, pa.int32())}), self._new_path())
        except Unavailable as error:
            return str(error)
        try:
            answer = await self._client.query(render(_SQL["probe"], file=path.name))
        except FeefifodError as error:
            return f"the server does not see {self._dir} as its SQL import root: {error}"
        finally:
            await self._remove(path)
        return None if answer.rows == [[len(_PROBE)]] else f"the server sees another folder than {self._dir}"

    async def clean(self) -> int:
        """Remove what dead processes left in the folder; return how many files."""
        try:
            return await to_thread.run_sync(_clean, self._dir, limiter=self._writers)
        except OSError as error:
            raise _unwritable(error, self._dir) from error

    async def send(self, frame: Frame) -> Receipt:
        """See `Lane.send`.

        Raises:
            Refused: the server says that the rows are wrong.
        """
        started = time.monotonic()
        attempts = 1
        if len(frame):
            path, _ = await persist(partial(self._write, _tabulate(frame), self._new_path()), self._on_trouble)
            reach(Step.PARQUET_WRITTEN)
            try:
                _, attempts = await persist(partial(self._insert, path), self._on_trouble)
                reach(Step.INSERTED)
            finally:
                await self._remove(path)
        return Receipt(len(frame), self.name, time.monotonic() - started, attempts)

    async def close(self) -> None:
        """Leave nothing behind: each `send` has already removed its file."""

    async def _write(self, rows: pa.Table, path: Path) -> Path:
        await to_thread.run_sync(_write, rows, path, limiter=self._writers)
        return path

    async def _insert(self, path: Path) -> None:
        async with self._statements:
            sql = render(_SQL["insert"], table=Identifier(self._table), file=path.name)
            await self._client.query(sql, timeout_seconds=_STATEMENT_SECONDS)

    async def _remove(self, path: Path) -> None:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(partial(path.unlink, missing_ok=True))

    def _new_path(self) -> Path:
        return self._dir / f"{self._stem}-{next(self._numbers)}.parquet"


def _tabulate(frame: Frame) -> pa.Table:
    """Wrap the frame's arrays, without copies."""
    source = np.zeros(len(frame), np.int32)
    columns = {
        "asset_id": _wrap(frame.asset_id, pa.int32()),
        "time": _wrap(frame.time_us, pa.timestamp("us")),
        "open": _wrap(frame.open, pa.float64()),
        "high": _wrap(frame.high, pa.float64()),
        "low": _wrap(frame.low, pa.float64()),
        "close": _wrap(frame.close, pa.float64()),
        "volume": _wrap(frame.volume, pa.float64()),
        "interval_minutes": _wrap(frame.interval_minutes, pa.int32()),
        # INT_NULL is written as the number that it is; QuestDB reads that very number as NULL.
        "trade_count": _wrap(frame.trade_count, pa.int32()),
        "quote_currency": _encode(frame.quote_code, frame.quotes),
        "source": _encode(source, [str(frame.source)]),
    }
    # Columns that cannot be NULL take half the time to write: no definition levels.
    schema = pa.schema([pa.field(name, column.type, nullable=False) for name, column in columns.items()])
    return pa.table(list(columns.values()), schema=schema)


def _wrap(values: NDArray[np.generic], kind: pa.DataType) -> pa.Array:
    """Wrap one array; `pa.array` would import pandas for it, a third of a second at each start."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _encode(codes: NDArray[np.int32], words: Sequence[str]) -> pa.DictionaryArray:
    data = [word.encode() for word in words]
    ends = np.cumsum([0, *map(len, data)], dtype=np.int32)
    dictionary = pa.StringArray.from_buffers(len(data), pa.py_buffer(ends), pa.py_buffer(b"".join(data)))
    return pa.DictionaryArray.from_arrays(_wrap(codes, pa.int32()), dictionary)


def _write(rows: pa.Table, path: Path) -> None:
    try:
        parquet.write_table(
            rows,
            path,
            compression="none",
            use_dictionary=["quote_currency", "source"],
            write_statistics=False,
            store_schema=False,
            row_group_size=max(rows.num_rows, 1),
            write_batch_size=65_536,
        )
        # The server may be another user's process; the folder, not the file, decides who gets here.
        with suppress(PermissionError):  # A share of CIFS has modes of its own.
            path.chmod(0o644)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _unwritable(error, path.parent) from error


def _unwritable(error: OSError, folder: Path) -> Unavailable:
    return Unavailable(
        f"the bulk lane's folder cannot be written: {error.strerror or error}",
        where=str(folder),
        remedy="Free some space, or let feefifod write there",
    )


def _clean(folder: Path) -> int:
    removed = 0
    for path in folder.iterdir():
        if (match := _NAME.fullmatch(path.name)) and _is_left_over(path, match):
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _is_left_over(path: Path, match: re.Match[str]) -> bool:
    if match["host"] == _host():
        return birth(int(match["pid"])) != int(match["started"])
    try:
        return time.time() - path.stat().st_mtime > _FOREIGN_AGE_SECONDS
    except FileNotFoundError:
        return False


def _host() -> str:
    """Name this host by a digest, because a host's name may hold what a file's name in SQL may not."""
    return hashlib.blake2b(socket.gethostname().encode(), digest_size=6).hexdigest()
