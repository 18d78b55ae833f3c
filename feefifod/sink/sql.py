"""SQL over QuestDB's HTTP: one question, one answer, errors that say what to do."""

from __future__ import annotations

import base64
import contextlib
import http.client
import re
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, SupportsBytes
from urllib.parse import quote

import anyio
from anyio import to_thread

from feefifod.errors import FeefifodError, Refused, Unavailable
from feefifod.network import probe_tongue
from feefifod.partitioning import Partitioning
from feefifod.sink.address import read_address
from feefifod.sink.verdict import Closed, blame, judge_connection, judge_write, look_at, read_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from feefifod.config.settings import QuestDBSettings

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TEXT: Final = re.compile(r"[A-Za-z0-9_.:-]{0,255}")


class Identifier(str):
    """A table's name on its way into SQL."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time on its way into SQL: microseconds since 1970 UTC."""

    us: int


Value = Identifier | Instant | int | str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement returned; empty for statements that return nothing."""

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]


def render(statement: str, **values: Value) -> str:
    """Put values into a statement's `{name}` places; nothing else ever builds SQL from values.

    Raises:
        Refused: a value is not what its kind allows; it is never escaped, only refused.
    """
    return statement.format(**{name: _literal(value) for name, value in values.items()})


def _literal(value: Value) -> str:
    if isinstance(value, Instant):
        return f"'{format_instant(value.us)}'"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple) and value and all(type(item) is int for item in value):
        return f"({', '.join(map(str, value))})"
    if isinstance(value, Identifier) and _IDENTIFIER.fullmatch(value):
        return f'"{value}"'
    if isinstance(value, str) and not isinstance(value, Identifier) and _TEXT.fullmatch(value):
        return f"'{value}'"
    raise Refused(f"{value!r} cannot be put into SQL", remedy="Use letters, digits and underscores")


def format_instant(us: int) -> str:
    """Format microseconds since 1970 as QuestDB writes timestamps."""
    return (_EPOCH + timedelta(microseconds=int(us))).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def load_statements(name: str) -> dict[str, str]:
    """Load this package's SQL file: statements below `-- name --` lines, keyed by that name."""
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    parts = re.split(r"^-- (\w+) --\n", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


class QuestDBClient:
    """Asks one QuestDB over GET /exec.

    Each question has a connection of its own: on loopback that costs a tenth of a millisecond, and no kept
    connection can be found dead in the middle of a statement.

    Attributes:
        suspended_since: for `apply`: by table, when it was first seen suspended for a cause that QuestDB does not tell.

        answered: it has answered as a QuestDB that lets us in; what keeps us out from then on is waited for.

    Args:
        settings: user and password, if the server asks for them, and the authority of its certificate.
        url: where the server is, `http://host:port`.
        connections: how many questions at the same time.

    Raises:
        ConfigError: the URL has another shape, or the file of the authority cannot be used.
    """

    def __init__(self, settings: QuestDBSettings, url: str, *, connections: int = 8) -> None:
        self.address = read_address(url, settings.tls_ca)
        self.url = self.address.url
        self._headers = {"Accept-Encoding": "identity"}
        if settings.user:
            secret = f"{settings.user}:{settings.password.get_secret_value()}".encode()
            self._headers["Authorization"] = "Basic " + base64.b64encode(secret).decode()
        self._limiter = anyio.CapacityLimiter(connections)
        self._partitionings: dict[str, Partitioning] = {}
        self._silent_ends = 0
        self.suspended_since: dict[str, float] = {}
        self.answered = False

    def connect(self, timeout_seconds: float) -> tuple[http.client.HTTPConnection, dict[str, str]]:
        """Return a connection of its own, not yet open, and the headers that every question needs."""
        return self.address.open(timeout_seconds), self._headers

    def target(self, path: str) -> str:
        """Return what to ask for on that connection: `path` behind the proxy's own, if it has one."""
        return self.address.prefix + path

    def judge(self, error: Exception) -> FeefifodError:
        """Make the error of what a connection raised."""
        return self._soften(judge_connection(error, self.address))

    def note_partitioning(self, table: str, partition_by: str) -> None:
        """Keep how a table is partitioned, as it was seen just now; one that is not partitioned is one piece."""
        known = partition_by in Partitioning.__members__
        self._partitionings[table] = Partitioning(partition_by) if known else Partitioning.YEAR

    def partitioning(self, table: str) -> Partitioning:
        """Return how a table was partitioned when it was last looked at: whoever has its identity has seen it."""
        return self._partitionings.get(table, Partitioning.DAY)

    async def query(self, sql: str, *, timeout_seconds: float = 30.0, limit: int | None = None) -> Answer:
        """Run one statement; with `limit`, the answer ends after so many rows.

        At the time limit, or when cancelled, the connection is cut; the server may still finish the statement.
        The header `Statement-Timeout` would be the server's own limit, but QuestDB 9.3.4 keeps the first value
        that it hears, for all statements of all clients that the same worker runs later.

        Raises:
            Unavailable: the server is away, too slow, out of room, or failed inside.
            Refused: the server says that the statement is wrong, or does not let us in.
        """
        path = self.target("/exec?query=" + quote(sql, safe="") + ("" if limit is None else f"&limit={limit}"))
        status, headers, body = await self._exchange("GET", path, timeout_seconds)
        try:
            document = read_document(status, headers, body, self.url)
        except FeefifodError as error:
            raise self._soften(error) from None
        self.answered = True
        columns = document.get("columns", [])
        return Answer(
            columns=[column["name"] for column in columns],
            types=[column["type"] for column in columns],
            rows=document.get("dataset", []),
        )

    async def write(self, rows: SupportsBytes, *, timeout_seconds: float) -> None:
        """Hand rows over in the line protocol; returns when the server has acknowledged all of them.

        Raises:
            Unavailable: as `query`.
            TooLarge: it takes fewer at once.
            Refused: the server says that the rows are wrong, or does not let us in.
        """
        path = self.target("/write?precision=n")
        error = judge_write(*await self._exchange("POST", path, timeout_seconds, rows), self.url)
        if error is not None:
            raise self._soften(error)
        self.answered = True

    async def _exchange(
        self, method: str, path: str, timeout_seconds: float, rows: SupportsBytes | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        connection, _ = self.connect(timeout_seconds)
        exchange = partial(_exchange, connection, method, path, self._headers, rows)
        try:
            with anyio.fail_after(timeout_seconds):
                answer = await to_thread.run_sync(exchange, abandon_on_cancel=True, limiter=self._limiter)
        except TimeoutError:
            raise Unavailable(
                f"QuestDB did not answer within {timeout_seconds:g} s", where=self.url, remedy=look_at(self.url)
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise await self._explain(error) from error
        finally:
            cut(connection)
        self._silent_ends = 0
        return answer

    async def _explain(self, error: Exception) -> FeefifodError:
        ours = judge_connection(error, self.address)
        ended = isinstance(error, (ConnectionResetError, ssl.SSLEOFError))
        self._silent_ends = self._silent_ends + 1 if ended else 0
        if self._silent_ends >= 2 and not self.answered:
            # Whatever is there hangs up each time: perhaps it speaks something else.
            address = self.address
            probe = partial(probe_tongue, address.host, address.port, tls=address.tls is not None)
            cause = await to_thread.run_sync(probe, abandon_on_cancel=True)
            ours = ours if cause is None else blame(cause, self.url)
        return self._soften(ours)

    def _soften(self, error: FeefifodError) -> FeefifodError:
        """Let what keeps us out of a server that had let us in be waited for."""
        if isinstance(error, Closed) and self.answered:
            return Unavailable(error.why, where=error.where, remedy=error.remedy)
        return error


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: dict[str, str],
    rows: SupportsBytes | None,
) -> tuple[int, Mapping[str, str], bytes]:
    try:
        connection.request(method, path, headers=headers, body=None if rows is None else bytes(rows))
    except (BrokenPipeError, ConnectionResetError):
        # A server that refuses a large request may answer before it has come, and hang up.
        if rows is None or connection.sock is None:
            raise
    with connection.getresponse() as response:
        return response.status, lower_names(response.headers), response.read()


def lower_names(headers: http.client.HTTPMessage) -> dict[str, str]:
    """Return the headers of an answer, by their names in small letters."""
    return {name.lower(): value for name, value in headers.items()}


def cut(connection: http.client.HTTPConnection) -> None:
    """Close the connection in a way that also wakes a thread that still reads from it."""
    if connection.sock is not None:
        with contextlib.suppress(OSError):  # The other side was faster.
            connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextlib.contextmanager
def carry_errors(client: QuestDBClient) -> Iterator[None]:
    """Turn what goes wrong with a connection into our errors."""
    try:
        yield
    except TimeoutError:
        raise Unavailable("QuestDB says nothing more", where=client.url, remedy=look_at(client.url)) from None
    except (OSError, http.client.HTTPException) as error:
        raise client.judge(error) from error


def judge_answer(status: int, headers: Mapping[str, str], body: bytes, url: str) -> FeefifodError:
    """Make the error of an answer that is none; what there is of it may be the server's own words."""
    try:
        read_document(status, headers, body, url)
    except FeefifodError as error:
        return error
    return Unavailable("QuestDB's answer ends too early", where=url, remedy=look_at(url))
