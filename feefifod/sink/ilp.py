"""The lane that is always there: rows over ILP/HTTP by one persistent connection."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import anyio
import numpy as np
import questdb
from anyio import to_thread
from questdb import QuestDBError, QuestDBErrorCode, Sender

from feefifod.config.environment import withhold_proxies
from feefifod.errors import ConfigError, FeefifodError, Refused, Unavailable
from feefifod.patience import OnTrouble, keep_silent, persist
from feefifod.pulse import beat
from feefifod.sink.lane import Receipt
from feefifod.sink.sql import judge

if TYPE_CHECKING:
    from questdb._client import Buffer

    from feefifod.config.settings import QuestDBSettings
    from feefifod.model import Frame

# The library warns of frequent connections. Ours are made anew only after a failure, and `persist` spaces those.
questdb.WARN_HIGH_RECONNECTS = False  # type: ignore[attr-defined]  # Documented, but not in the library's stub.

_PIECE_ROWS: Final = 100_000
"""Rows of one request. A row is 170 to 300 bytes on the wire."""
_BUFFERS: Final = 3
"""One is encoded while one is on its way, and one is left for somebody else's small batch."""
_MAX_BUFFER_BYTES: Final = 512 * 1024 * 1024
"""What the client library may allocate at most; far above a piece's size, it only catches mistakes."""
_REQUEST_TIMEOUT_MS: Final = 10_000
_MIN_BYTES_PER_SECOND: Final = 512 * 1024
"""Added to the time limit of a request: its size at this speed."""
_AWAY: Final = {
    QuestDBErrorCode.SocketError,
    QuestDBErrorCode.CouldNotResolveAddr,
    QuestDBErrorCode.ConnectTimeout,
}


class IlpLane:
    """Sends frames as ILP over HTTP, each request one transaction.

    A large frame goes in pieces, and the pieces of concurrent frames take turns. While one piece is on its way,
    the next is encoded in another thread.

    Args:
        url: where the server is, `http://host:port`.
        settings: the table; user and password, if the server asks for them.
        on_trouble: told of every failed attempt that will be repeated.
        piece_rows: rows of one request.
    """

    name = "ilp"

    def __init__(
        self,
        url: str,
        settings: QuestDBSettings,
        *,
        on_trouble: OnTrouble = keep_silent,
        piece_rows: int = _PIECE_ROWS,
    ) -> None:
        self._url = url
        self._table = settings.table
        self._on_trouble = on_trouble
        self._piece_rows = piece_rows
        self._conf = _configure(url, settings)
        withhold_proxies()
        self._sender: Sender | None = None
        self._turn = anyio.Lock()
        self._room = anyio.Semaphore(_BUFFERS)
        self._spare: list[Buffer] = []
        self._encoders = anyio.CapacityLimiter(1)
        self._senders = anyio.CapacityLimiter(4)

    async def send(self, frame: Frame) -> Receipt:
        """See `Lane.send`.

        Raises:
            Refused: the server, or the client library, says that the rows are wrong.
        """
        started = time.monotonic()
        # Without this check the client library would leave such a time out, and the server would take its own.
        if len(frame) and frame.time_us[0] < 0:
            raise Refused("rows before 1970 cannot be stored", where=self._table)
        attempts = [1]
        pieces = _split(frame, self._piece_rows)
        upcoming = await self._encode(frame, next(pieces)) if len(frame) else None
        try:
            while upcoming is not None:
                ready, upcoming = upcoming, None
                async with anyio.create_task_group() as group:
                    group.start_soon(self._deliver, ready, attempts)
                    if (rows := next(pieces, None)) is not None:
                        upcoming = await self._encode(frame, rows)
        except BaseExceptionGroup as errors:
            # At most one member is not a cancellation; callers expect it bare.
            raise _unwrap(errors) from errors
        finally:
            if upcoming is not None:
                self._put_back(upcoming)
        return Receipt(len(frame), self.name, time.monotonic() - started, max(attempts))

    async def close(self) -> None:
        """Close the connection."""
        sender, self._sender = self._sender, None
        self._spare.clear()
        if sender is not None:
            await to_thread.run_sync(partial(sender.close, flush=False), limiter=self._senders)

    async def _encode(self, frame: Frame, rows: slice) -> Buffer:
        await self._room.acquire()
        try:
            buffer = self._spare.pop() if self._spare else _connect(self._conf).new_buffer()
            await to_thread.run_sync(_encode, buffer, frame, rows, self._table, limiter=self._encoders)
        except BaseException:
            self._room.release()
            raise
        return buffer

    def _put_back(self, buffer: Buffer) -> None:
        self._spare.append(buffer)
        self._room.release()

    async def _deliver(self, buffer: Buffer, attempts: list[int]) -> None:
        try:
            _, tries = await persist(partial(self._flush, buffer), self._on_trouble)
        except BaseException:
            # Not put back: a thread that nobody waits for any more may still read from it.
            self._room.release()
            raise
        attempts.append(tries)
        beat()
        self._put_back(buffer)

    async def _flush(self, buffer: Buffer) -> None:
        async with self._turn:
            # Only an acknowledged request leaves the connection in a state that we know. After an error or a
            # cancellation a new one is made; a thread that still waits on the old one keeps it to itself.
            sender, self._sender = self._sender or _connect(self._conf), None
            await to_thread.run_sync(_flush, sender, buffer, self._url, abandon_on_cancel=True, limiter=self._senders)
            self._sender = sender


def _configure(url: str, settings: QuestDBSettings) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError("the URL of QuestDB is not http://host:port", remedy='Set url = "http://host:9000"')
    options = {
        "addr": f"{parts.hostname}:{parts.port or 9000}",
        "auto_flush": "off",
        "protocol_version": "2",
        "retry_timeout": "0",
        "request_timeout": str(_REQUEST_TIMEOUT_MS),
        "request_min_throughput": str(_MIN_BYTES_PER_SECOND),
        "max_buf_size": str(_MAX_BUFFER_BYTES),
    }
    if settings.user:
        options["username"] = settings.user
        options["password"] = settings.password.get_secret_value()
    return f"{parts.scheme}::" + "".join(f"{key}={value.replace(';', ';;')};" for key, value in options.items())


def _connect(conf: str) -> Sender:
    """Make a sender; as its protocol version is fixed, it waits for the first flush before it connects."""
    sender = Sender.from_conf(conf)
    sender.establish()  # type: ignore[no-untyped-call]  # The library's stub has no return type here.
    return sender


def _split(frame: Frame, piece_rows: int) -> Iterator[slice]:
    pieces = -(-len(frame) // piece_rows)
    size = -(-len(frame) // max(pieces, 1))
    for start in range(0, len(frame), max(size, 1)):
        yield slice(start, start + size)


def _encode(buffer: Buffer, frame: Frame, rows: slice, table: str) -> None:
    """Encode rows; pandas only wraps the arrays here, without a copy."""
    import pandas as pd  # noqa: PLC0415 - it takes a third of a second, and the bulk lane does without it.

    columns = {
        "quote_currency": pd.Categorical.from_codes(
            frame.quote_code[rows], categories=list(frame.quotes), validate=False
        ),
        "source": pd.Categorical.from_codes(
            np.zeros(len(frame.time_us[rows]), np.int8), categories=[str(frame.source)], validate=False
        ),
        "asset_id": frame.asset_id[rows],
        "open": frame.open[rows],
        "high": frame.high[rows],
        "low": frame.low[rows],
        "close": frame.close[rows],
        "volume": frame.volume[rows],
        "interval_minutes": frame.interval_minutes[rows],
        # INT_NULL travels as the number that it is; QuestDB stores that very number for NULL.
        "trade_count": frame.trade_count[rows],
        "time": frame.time_us[rows].view("datetime64[us]"),
    }
    try:
        buffer.clear()  # type: ignore[no-untyped-call]  # The library's stub has no return type here.
        buffer.dataframe(
            pd.DataFrame(columns, copy=False), table_name=table, symbols=["quote_currency", "source"], at="time"
        )
    except QuestDBError as error:
        raise Refused(f"the rows cannot be encoded: {error}", where=table) from error


def _flush(sender: Sender, buffer: Buffer, url: str) -> None:
    try:
        sender.flush(buffer, clear=False, transactional=True)
    except QuestDBError as error:
        sender.close(flush=False)
        raise _judge(error, url) from error


def _judge(error: QuestDBError, url: str) -> FeefifodError:
    """Tell what a failed request means.

    The client library does not hand on the status; QuestDB's own word is the JSON in the message.
    """
    text = str(error).removeprefix("Could not flush buffer: ")
    if error.code in _AWAY:
        return Unavailable(f"QuestDB cannot be reached: {text}", where=url, remedy="Check that QuestDB runs there")
    if error.code == QuestDBErrorCode.AuthError:
        return judge(text, status=403, where=url)
    if error.code != QuestDBErrorCode.ServerFlushError:
        return Refused(f"QuestDB does not take ILP over HTTP: {text}", where=url)
    try:
        answer = json.loads(text)
        code, message = str(answer["code"]), str(answer["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "", text
    wrong = code in {"invalid", "request too large"} or "too large" in message
    return judge(message, status=400 if wrong else 500, where=url)


def _unwrap(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
