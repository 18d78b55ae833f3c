"""Answers that need not fit into memory: read row by row while they come in."""

from __future__ import annotations

import codecs
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from anyio import to_thread

from feefifod.sink.sql import carry_errors, cut, judge_answer, lower_names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from http.client import HTTPConnection

    from feefifod.sink.sql import QuestDBClient

_PIECE_BYTES: Final = 256 * 1024
_ROWS_BEGIN: Final = '"dataset":['
"""It cannot stand in the question or a name, which are repeated before: quotes are escaped there."""


class RowReader:
    """Reads the JSON of `/exec` piece by piece.

    Attributes:
        columns: their names, once they have come.
        ended: no row follows.
    """

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.ended = False
        self._begun = False
        self._text = ""
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._json = json.JSONDecoder()

    @property
    def begun(self) -> bool:
        """Whether it is known which columns there are."""
        return self._begun or self.ended

    @property
    def rest(self) -> str:
        """What has come and is not read yet."""
        return self._text

    def feed(self, piece: bytes) -> list[list[Any]]:
        """Take in a piece; return the rows that are complete now."""
        self._text += self._decode(piece)
        if not self._begun and not self._begin():
            return []
        rows: list[list[Any]] = []
        place = 0
        while not self.ended:
            while place < len(self._text) and self._text[place] in ", \n\r\t":
                place += 1
            if self._text[place : place + 1] == "]":
                self.ended = True
                break
            try:
                row, place = self._json.raw_decode(self._text, place)
            except ValueError:
                break  # Its end has not come yet.
            rows.append(row)
        self._text = self._text[place:]
        return rows

    def _begin(self) -> bool:
        place = self._text.find(_ROWS_BEGIN)
        if place >= 0:
            head = json.loads(f"{self._text[:place]}{_ROWS_BEGIN}]}}")
            self.columns = [column["name"] for column in head["columns"]]
            self._text = self._text[place + len(_ROWS_BEGIN) :]
            self._begun = True
        return self._begun


class RowStream:
    """An answer of QuestDB on its way.

    Args:
        path: what to ask, with `/exec?query=`.
        client: the server, for errors.
    """

    def __init__(self, connection: HTTPConnection, path: str, headers: dict[str, str], client: QuestDBClient) -> None:
        self._connection, self._path, self._headers, self._client = connection, path, headers, client
        self._reader = RowReader()
        self._first: list[list[Any]] = []

    @property
    def columns(self) -> list[str]:
        """The names of the columns; empty for a statement that returns nothing."""
        return self._reader.columns

    def begin(self) -> None:
        """Ask, and read as far as the columns. Blocking.

        Raises:
            Unavailable, Refused: as `QuestDBClient.query`.
        """
        with carry_errors(self._client):
            self._connection.request("GET", self._path, headers=self._headers)
            self._response = self._connection.getresponse()
            if self._response.status != 200:
                answer = self._response
                raise judge_answer(answer.status, lower_names(answer.headers), answer.read(), self._client.url)
        while not self._reader.begun:
            self._first = self._read()

    async def batches(self) -> AsyncIterator[list[list[Any]]]:
        """Yield the rows, some at a time.

        Raises:
            Unavailable, Refused: the server ends in the middle of its answer.
        """
        rows, self._first = self._first, []
        while rows or not self._reader.ended:
            if rows:
                yield rows
            rows = [] if self._reader.ended else await to_thread.run_sync(self._read, abandon_on_cancel=True)

    def _read(self) -> list[list[Any]]:
        with carry_errors(self._client):
            piece = self._response.read1(_PIECE_BYTES)
        rows = self._reader.feed(piece)
        if not piece and not self._reader.ended:
            if self._ends_without_rows():
                self._reader.ended = True
            else:
                raise judge_answer(200, {}, self._reader.rest.encode(), self._client.url)
        return rows

    def _ends_without_rows(self) -> bool:
        """Tell whether a statement that returns nothing has said that it is done."""
        if self._reader.columns:
            return False
        try:
            document = json.loads(self._reader.rest)
        except ValueError:
            return False
        return isinstance(document, dict) and "error" not in document


@asynccontextmanager
async def stream_query(client: QuestDBClient, sql: str, *, pause_seconds: float) -> AsyncIterator[RowStream]:
    """Run one statement and lend its answer row by row, however long it is.

    Args:
        pause_seconds: how long the server may be silent before the first row and between two.

    Raises:
        Unavailable, Refused: as `QuestDBClient.query`.
    """
    connection, headers = client.connect(pause_seconds)
    stream = RowStream(connection, client.target("/exec?query=" + quote(sql, safe="")), headers, client)
    try:
        await to_thread.run_sync(stream.begin, abandon_on_cancel=True)
        yield stream
    finally:
        cut(connection)
