"""Questions to QuestDB: what comes back, and what an error means."""

from __future__ import annotations

import asyncio
import random

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from feefifod.config.settings import QuestDBSettings
from feefifod.errors import ConfigError, Refused, Unavailable
from feefifod.patience import persist
from feefifod.sink import QuestDBClient
from feefifod.sink.sql import Identifier, Instant, render
from tests.integration.sink.conftest import Serve, listening


async def test_an_answer_has_names_types_and_rows(client: QuestDBClient) -> None:
    answer = await client.query("SELECT 1 AS one, 'a b' AS text, null AS nothing FROM long_sequence(2)")

    assert answer.columns == ["one", "text", "nothing"]
    assert answer.types[:2] == ["INT", "STRING"]
    assert answer.rows == [[1, "a b", None]] * 2


async def test_wrong_sql_is_refused_with_questdbs_words_and_the_position(client: QuestDBClient) -> None:
    with pytest.raises(Refused, match=r"table does not exist \[table=nowhere\] \(at position 14\)"):
        await client.query("SELECT * FROM nowhere")


async def test_nobody_at_home_is_unavailable() -> None:
    client = QuestDBClient(QuestDBSettings(), "http://127.0.0.1:1")

    with pytest.raises(Unavailable, match="refuses connections") as error:
        await client.query("SELECT 1")

    assert "http://127.0.0.1:1" in str(error.value)


async def ask(serve: Serve, settings: QuestDBSettings, timeout_seconds: float = 5.0) -> None:
    async with listening(serve) as url:
        await QuestDBClient(settings, url).query("SELECT 1", timeout_seconds=timeout_seconds)


def answer(status: str, body: bytes = b"", length: int | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        size = len(body) if length is None else length
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode() + body)
        await writer.drain()

    return serve


@pytest.mark.parametrize(
    ("serve", "expected"),
    [
        (answer("500 X", b"boom"), Unavailable),
        (answer("503 X", b'{"error": "not now"}'), Unavailable),
        (answer("200 OK", b'{"columns": [', 500), Unavailable),
        (answer("200 OK", b'{"columns": ['), Unavailable),
        (answer("200 OK", b"<html>"), Refused),
        (answer("400 X", b'{"error": "could not write [errno=28]", "position": 1}'), Unavailable),
        (answer("400 X", b'{"error": "timeout, query aborted [fd=1]", "position": 1}'), Unavailable),
        (answer("500 X", b'{"error": "could not mmap  [size=8, offset=0]", "position": 1}'), Unavailable),
        (answer("400 X", b'{"error": "could not mmap  [size=8, offset=0]", "position": 1}'), Unavailable),
        (answer("401 X", b"Unauthorized"), Refused),
        (answer("403 X", b'{"error": "Access denied"}'), Refused),
    ],
)
async def test_what_an_answer_means(serve: Serve, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        await ask(serve, QuestDBSettings())


async def test_a_silent_server_is_given_up_at_the_time_limit() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(20)

    with anyio.fail_after(5), pytest.raises(Unavailable, match=r"within 0\.1 s"):
        await ask(say_nothing, QuestDBSettings(), timeout_seconds=0.1)


async def test_cancelling_a_question_returns_at_once(client: QuestDBClient) -> None:
    started = anyio.current_time()

    with anyio.move_on_after(0.2):
        await client.query("SELECT count() FROM long_sequence(400000000) WHERE rnd_double() + x < 0")

    assert anyio.current_time() - started < 1


async def test_user_and_password_are_sent_but_never_shown() -> None:
    heard = b""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    with pytest.raises(Refused) as error:
        await ask(listen, QuestDBSettings(user="ann", password=SecretStr("s3cret")))

    assert b"Authorization: Basic YW5uOnMzY3JldA==" in heard
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("url", ["localhost:9000", "ftp://localhost", "http://", "http://ann:secret@localhost:9000"])
def test_a_url_of_another_shape_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError) as error:
        QuestDBClient(QuestDBSettings(), url)

    assert "secret" not in str(error.value)


def test_values_are_put_into_sql_by_their_kind() -> None:
    assert render("{a} {b} {c} {d}", a=Identifier("t_1"), b=-5, c="USD", d=Instant(1_500_000_000_123_456)) == (
        "\"t_1\" -5 'USD' '2017-07-14T02:40:00.123456Z'"
    )


@given(st.one_of(st.text(min_size=1), st.text(min_size=1).map(Identifier), st.booleans()))
def test_no_value_can_leave_its_place(value: str | bool) -> None:
    try:
        sql = render("{value}", value=value)
    except Refused:
        return
    quote = '"' if isinstance(value, Identifier) else "'"
    assert sql == f"{quote}{value}{quote}"
    assert not set(sql[1:-1]) & set("'\"\\;\n\x00")


async def test_patience_grows_and_listens_to_the_server() -> None:
    pauses: list[int] = []
    troubles = [Unavailable("away"), Unavailable("away", retry_after_seconds=0.3)]

    async def attempt() -> str:
        if troubles:
            raise troubles.pop(0)
        return "in"

    started = anyio.current_time()
    result = await persist(attempt, lambda _, number: pauses.append(number), draw=random.Random(1).random)

    assert result == ("in", 3)
    assert pauses == [1, 2]
    assert anyio.current_time() - started >= 0.35
