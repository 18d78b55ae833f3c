"""The lane that is always there: rows over ILP/HTTP by one persistent connection."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import numpy as np
import questdb
import structlog
from anyio import to_thread
from questdb import QuestDBError, QuestDBErrorCode, Sender

from feefifod.config.environment import withhold_proxies
from feefifod.errors import Refused, Unavailable
from feefifod.patience import OnTrouble, keep_silent, persist
from feefifod.pulse import beat
from feefifod.sink.address import Address
from feefifod.sink.lane import Receipt
from feefifod.sink.sql import QuestDBClient
from feefifod.sink.verdict import TooLarge, look_at

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
_REQUEST_SECONDS: Final = 10.0
_MIN_BYTES_PER_SECOND: Final = 512 * 1024
"""Added to the time limit of a request: its size at this speed."""


_CUT: Final = {QuestDBErrorCode.SocketError, QuestDBErrorCode.ConnectTimeout}
_NEEDS_WORDS: Final = re.compile(r"certificate|tls|handshake|dns|resolve|refused", re.IGNORECASE)
"""What our own request finds better words for; all else that cuts a line is over by itself."""


class IlpLane:
    """Sends frames as ILP over HTTP, each request one transaction.

    A large frame goes in pieces, and the pieces of concurrent frames take turns. While one piece is on its way,
    the next is encoded in another thread. The client library does not tell which status an answer had, and a proxy's
    413 needs another answer than its 502: what failed is sent once more by a request of our own, which DEDUP allows. A
    server that takes no request of that size gets smaller ones from then on.

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
        self._table = settings.table
        self._on_trouble = on_trouble
        self._piece_rows = piece_rows
        self._client = QuestDBClient(settings, url)
        self._conf = _configure(self._client.address, settings)
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
        piece = self._piece(frame, 0)
        upcoming = await self._encode(frame, piece) if len(frame) else None
        try:
            while upcoming is not None:
                ready, rows, upcoming = upcoming, piece, None
                async with anyio.create_task_group() as group:
                    group.start_soon(self._deliver, frame, rows, ready, attempts)
                    if rows.stop < len(frame):
                        piece = self._piece(frame, rows.stop)
                        upcoming = await self._encode(frame, piece)
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

    def _piece(self, frame: Frame, start: int) -> slice:
        """Return the next piece: what is left, in equal parts that are small enough."""
        left = len(frame) - start
        pieces = -(-left // self._piece_rows)
        return slice(start, start + -(-left // max(pieces, 1)))

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

    async def _deliver(self, frame: Frame, rows: slice, buffer: Buffer, attempts: list[int]) -> None:
        try:
            await self._deliver_part(frame, rows, buffer, attempts)
        except BaseException:
            # Not put back: a thread that nobody waits for any more may still read from it.
            self._room.release()
            raise
        self._put_back(buffer)

    async def _deliver_part(self, frame: Frame, rows: slice, buffer: Buffer, attempts: list[int]) -> None:
        """Deliver what is in the buffer, in halves where it is too large for the server."""
        try:
            _, tries = await persist(partial(self._write, buffer), self._on_trouble)
        except TooLarge as error:
            size = rows.stop - rows.start
            if size == 1:
                raise
            half = -(-size // 2)
            if half < self._piece_rows:
                self._piece_rows = half
                structlog.get_logger().info("smaller_requests", rows=half, reason=error.why, remedy=error.remedy)
            for part in (slice(rows.start, rows.start + half), slice(rows.start + half, rows.stop)):
                await to_thread.run_sync(_encode, buffer, frame, part, self._table, limiter=self._encoders)
                await self._deliver_part(frame, part, buffer, attempts)
        else:
            attempts.append(tries)
            beat()

    async def _write(self, buffer: Buffer) -> None:
        timeout_seconds = _REQUEST_SECONDS + len(buffer) / _MIN_BYTES_PER_SECOND
        async with self._turn:
            if self._client.address.prefix:  # The library knows no path of a proxy.
                await self._client.write(buffer, timeout_seconds=timeout_seconds)
                return
            if not self._client.answered:
                # Any web server says 200 to what it does not understand, and the library believes it.
                await self._client.query("SELECT 1")
            # Only an acknowledged request leaves the connection in a state that we know. After an error or a
            # cancellation a new one is made; a thread that still waits on the old one keeps it to itself.
            sender, self._sender = self._sender or _connect(self._conf), None
            begun = time.monotonic()
            flush = partial(_flush, sender, buffer)
            error = await to_thread.run_sync(flush, abandon_on_cancel=True, limiter=self._senders)
            if error is None:
                self._sender = sender
            elif error.code in _CUT and not _NEEDS_WORDS.search(str(error)):
                why = f"the request was not acknowledged within {time.monotonic() - begun:.1f} s: {_say(error)}"
                raise Unavailable(why, where=self._client.url, remedy=look_at(self._client.url)) from error
            else:
                await self._client.write(buffer, timeout_seconds=timeout_seconds)


def _configure(address: Address, settings: QuestDBSettings) -> str:
    options = {
        "addr": f"{address.host}:{address.port}",
        "auto_flush": "off",
        "protocol_version": "2",
        "retry_timeout": "0",
        "request_timeout": str(round(_REQUEST_SECONDS * 1000)),
        "request_min_throughput": str(_MIN_BYTES_PER_SECOND),
        "max_buf_size": str(_MAX_BUFFER_BYTES),
    }
    if settings.user:
        options["username"] = settings.user
        options["password"] = settings.password.get_secret_value()
    if address.tls is not None:
        options |= {"tls_roots": settings.tls_ca} if settings.tls_ca else {"tls_ca": "os_roots"}
    scheme = "http" if address.tls is None else "https"
    return f"{scheme}::" + "".join(f"{key}={value.replace(';', ';;')};" for key, value in options.items())


def _connect(conf: str) -> Sender:
    """Make a sender; as its protocol version is fixed, it waits for the first flush before it connects."""
    sender = Sender.from_conf(conf)
    sender.establish()  # type: ignore[no-untyped-call]  # The library's stub has no return type here.
    return sender


def _say(error: QuestDBError) -> str:
    """Return the client library's last word, which is the system's."""
    return str(error).removeprefix("Could not flush buffer: ").rpartition(": ")[2]


def _flush(sender: Sender, buffer: Buffer) -> QuestDBError | None:
    """Send a buffer; returns what went wrong."""
    try:
        sender.flush(buffer, clear=False, transactional=True)
    except QuestDBError as error:
        sender.close(flush=False)
        return error
    return None


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


def _unwrap(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
