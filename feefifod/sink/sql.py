"""SQL over QuestDB's HTTP: one question, one answer, errors that say what to do."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import anyio
from anyio import to_thread

from feefifod.errors import ConfigError, FeefifodError, Refused, Unavailable
from feefifod.partitioning import Partitioning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feefifod.config.settings import QuestDBSettings

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TEXT: Final = re.compile(r"[A-Za-z0-9_.:-]{0,255}")
_TRANSIENT: Final = re.compile(
    r"timeout, query aborted|\berrno=|No space left|memory limit|out of memory|table busy|busy \[|could not lock|retry",
    re.IGNORECASE,
)
"""What QuestDB says in a 400 or 500 that a later try can cure: limits, locks and the disk."""


_NO_MAPS: Final = re.compile(r"could not m(?:re)?map")

MORE_MAPS: Final = (
    "It goes on by itself when readers leave. For more readers at once: on QuestDB's machine, run as root: "
    "sysctl -w vm.max_map_count=1048576; and see what feefifod doctor says of the table's partitions"
)
"""Each column of each partition that a query reads is one map."""


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

    Args:
        settings: user and password, if the server asks for them.
        url: where the server is, `http://host:port`.
        connections: how many questions at the same time.
    """

    def __init__(self, settings: QuestDBSettings, url: str, *, connections: int = 8) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
            raise ConfigError(
                "the URL of QuestDB is not http://host:port",
                remedy='Set url = "http://host:9000" in [databases.questdb], user and password in keys of their own',
            )
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.hostname
        self._port = parts.port or 9000
        self._connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._headers = {"Accept-Encoding": "identity"}
        if settings.user:
            secret = f"{settings.user}:{settings.password.get_secret_value()}".encode()
            self._headers["Authorization"] = "Basic " + base64.b64encode(secret).decode()
        self._limiter = anyio.CapacityLimiter(connections)
        self._partitionings: dict[str, Partitioning] = {}
        self.suspended_since: dict[str, float] = {}

    def connect(self, timeout_seconds: float) -> tuple[http.client.HTTPConnection, dict[str, str]]:
        """Return a connection of its own, not yet open, and the headers that every question needs."""
        return self._connection(self._host, self._port, timeout=timeout_seconds), self._headers

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
        connection, _ = self.connect(timeout_seconds)
        path = "/exec?query=" + quote(sql, safe="") + ("" if limit is None else f"&limit={limit}")
        try:
            with anyio.fail_after(timeout_seconds):
                status, body = await to_thread.run_sync(
                    _fetch, connection, path, self._headers, abandon_on_cancel=True, limiter=self._limiter
                )
        except TimeoutError:
            raise Unavailable(
                f"QuestDB did not answer within {timeout_seconds:g} s", where=self.url, remedy=_look_at(self.url)
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(_describe(error), where=self.url, remedy=_look_at(self.url)) from error
        finally:
            cut(connection)
        return _read_answer(status, body, self.url)


def _fetch(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    connection.request("GET", path, headers=headers)
    with connection.getresponse() as response:
        return response.status, response.read()


def cut(connection: http.client.HTTPConnection) -> None:
    """Close the connection in a way that also wakes a thread that still reads from it."""
    if connection.sock is not None:
        with contextlib.suppress(OSError):  # The other side was faster.
            connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextlib.contextmanager
def carry_errors(url: str) -> Iterator[None]:
    """Turn what goes wrong with a connection into `Unavailable`."""
    try:
        yield
    except TimeoutError:
        raise Unavailable("QuestDB says nothing more", where=url, remedy=_look_at(url)) from None
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(_describe(error), where=url, remedy=_look_at(url)) from error


def judge_status(status: int, body: bytes, url: str) -> FeefifodError:
    """Make the error of an answer that is none."""
    try:
        _read_answer(status, body, url)
    except FeefifodError as error:
        return error
    return Unavailable(f"QuestDB answered with status {status}", where=url, remedy=_look_at(url))


def judge_end(rest: str, url: str) -> FeefifodError:
    """Make the error of an answer that ends too early; what is left of it may be the server's own words."""
    return judge_status(200, rest.encode(), url)


def _describe(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "QuestDB refuses connections: it is not running there, or is starting"
    return f"QuestDB cannot be reached: {error or type(error).__name__}"


def _look_at(url: str) -> str:
    return f"Check that QuestDB runs and that {url} is right"


def _read_answer(status: int, body: bytes, url: str) -> Answer:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if isinstance(document, dict) and "error" in document:
        raise judge(str(document["error"]), status=status, where=url, position=document.get("position"))
    if status in {401, 403}:
        raise Refused("QuestDB does not let us in", where=url, remedy="Set user and password in [databases.questdb]")
    if status != 200 or not isinstance(document, dict):
        # An answer that is cut short reads as broken JSON: the server died, or gave up, in the middle of it.
        raise Unavailable(f"QuestDB answered with status {status} and no result", where=url, remedy=_look_at(url))
    columns = document.get("columns", [])
    return Answer(
        columns=[column["name"] for column in columns],
        types=[column["type"] for column in columns],
        rows=document.get("dataset", []),
    )


def judge(text: str, *, status: int, where: str, position: object = None) -> FeefifodError:
    """Tell what QuestDB's own error text means for us: try again, or stop."""
    place = f" (at position {position})" if position else ""
    if "errno=28" in text or "No space left" in text:
        return Unavailable(f"QuestDB's disk is full: {text}", where=where, remedy="Free some space on that disk")
    if _NO_MAPS.search(text):
        return Unavailable(f"QuestDB may have no more memory maps: {text}", where=where, remedy=MORE_MAPS)
    if status >= 500 or status in {408, 429} or _TRANSIENT.search(text):
        return Unavailable(f"QuestDB failed: {text}{place}", where=where, remedy="See the log of QuestDB if it goes on")
    if status in {401, 403}:
        return Refused(
            f"QuestDB does not let us in: {text}",
            where=where,
            remedy="Set user and password in [databases.questdb]",
        )
    return Refused(f"QuestDB says: {text}{place}", where=where)
