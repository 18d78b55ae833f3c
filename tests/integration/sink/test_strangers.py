"""What stands between us and QuestDB, or in its place: each is named, and waited for only where waiting helps."""

from __future__ import annotations

import asyncio
import socket
import ssl
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from feefifod.config.settings import QuestDBSettings
from feefifod.errors import ConfigError, Refused, Unavailable
from feefifod.patience import persist
from feefifod.servers import Endpoints
from feefifod.sink import (
    IlpLane,
    QuestDBClient,
    describe_table,
    ensure_table,
    read_identity,
    read_progress,
    wait_applied,
)
from feefifod.sink.address import read_address
from tests.integration.sink.conftest import Serve, listening, make_frame, make_lane, read_rows, rows_of
from tests.support.certificates import Authority
from tests.support.embedded import unique_name

_WELCOME = b"<!DOCTYPE html><title>Welcome to nginx!</title>"


def answer(status: str, body: bytes = _WELCOME, *headers: str) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return serve


def say(piece: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(piece)
        await writer.drain()

    return serve


@pytest.mark.parametrize(
    ("serve", "kind", "words"),
    [
        (answer("200 OK"), Refused, "not a QuestDB"),
        (answer("200 OK", b"Status: Healthy\n"), Refused, "not a QuestDB"),
        (answer("200 OK", b'{"ok": true}'), Refused, "not a QuestDB"),
        (answer("404 Not Found"), Refused, "not a QuestDB"),
        (answer("404 Not Found", b'{"error": "no route"}'), Refused, "not a QuestDB"),
        (answer("405 Not Allowed"), Refused, "POST /write"),
        (answer("421 Misdirected Request"), Refused, "this name"),
        (answer("401 Unauthorized"), Refused, "user and password"),
        (answer("403 Forbidden"), Refused, "user and password"),
        (answer("407 Proxy Authentication Required"), Refused, "proxy"),
        (answer("301 Moved", b"", "Location: https://db.example/exec?query=x"), Refused, "https://db.example/exec "),
        (answer("308 Moved", b""), Refused, "elsewhere"),
        (answer("400 Bad Request", b"The plain HTTP request was sent to HTTPS port"), Refused, "Write https://"),
        (answer("413 Too Large"), Refused, "client_max_body_size"),
        (answer("414 Too Long"), Refused, "large_client_header_buffers"),
        (answer("429 Too Many Requests"), Unavailable, "limits"),
        (answer("502 Bad Gateway"), Unavailable, "does not reach it"),
        (answer("503 Service Unavailable"), Unavailable, "does not reach it"),
        (answer("504 Gateway Timeout"), Unavailable, "waits too long"),
        (answer("500 Oops"), Unavailable, "status 500"),
        (say(b"\x15\x03\x01\x00\x02\x02\x46"), Refused, "Write https://"),
        (say(b"SSH-2.0-OpenSSH_9.2\r\n"), Refused, "does not speak HTTP"),
        (say(b""), Unavailable, "ended the connection"),
    ],
)
async def test_each_stranger_is_named_on_both_ways_in(serve: Serve, kind: type[Exception], words: str) -> None:
    troubles: list[Unavailable] = []

    def give_up(error: Unavailable, _: int) -> None:
        troubles.append(error)
        raise error

    async with listening(serve) as url:
        with pytest.raises(kind) as asked:
            await QuestDBClient(QuestDBSettings(), url).query("SELECT 1")
        lane = IlpLane(url, QuestDBSettings(), on_trouble=give_up)
        with pytest.raises(kind) as sent:
            await lane.send(make_frame(1))

    for error in (asked, sent):
        assert words in str(error.value)
        assert "Error" not in str(error.value)


@pytest.mark.parametrize("status", ["401 Unauthorized", "404 Not Found", "301 Moved", "405 Not Allowed"])
async def test_what_keeps_us_out_later_is_waited_for(status: str) -> None:
    script = [answer("200 OK", b'{"query":"x","columns":[],"dataset":[]}'), answer(status)]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await script.pop(0)(reader, writer)

    async with listening(serve) as url:
        client = QuestDBClient(QuestDBSettings(), url)
        await client.query("SELECT 1")
        with pytest.raises(Unavailable):
            await client.query("SELECT 1")


async def test_a_proxy_says_how_long_to_wait() -> None:
    async with listening(answer("503 Busy", b"", "Retry-After: 7")) as url:
        with pytest.raises(Unavailable) as error:
            await QuestDBClient(QuestDBSettings(), url).query("SELECT 1")

    assert error.value.retry_after_seconds == 7


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [(socket.EAI_NONAME, Refused, "no host of the name"), (socket.EAI_AGAIN, Unavailable, "cannot be looked up now")],
)
async def test_a_misspelt_host_is_refused_and_a_silent_dns_waited_for(
    number: int, kind: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise socket.gaierror(number, "whatever")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(kind, match=words):
        await QuestDBClient(QuestDBSettings(), "http://qestdb.example").query("SELECT 1")


async def test_postgresql_is_recognised(pair: Endpoints) -> None:
    port = urllib.parse.urlsplit(pair.postgres_dsn).port
    client = QuestDBClient(QuestDBSettings(), f"http://127.0.0.1:{port}")

    with pytest.raises(Refused, match="PostgreSQL's protocol"):
        await persist(lambda: client.query("SELECT 1"))


@pytest.mark.parametrize(
    ("url", "host", "port", "prefix"),
    [
        ("http://db", "db", 9000, ""),
        ("https://db", "db", 443, ""),
        ("https://db/questdb/", "db", 443, "/questdb"),
        ("http://[::1]", "::1", 9000, ""),
        ("http://[::1]:9009/", "::1", 9009, ""),
        ("HTTPS://DB:8443", "db", 8443, ""),
    ],
)
def test_an_address_is_read(url: str, host: str, port: int, prefix: str) -> None:
    address = read_address(QuestDBSettings(url=url).url)

    assert (address.host, address.port, address.prefix) == (host, port, prefix)
    assert (address.tls is not None) is url.lower().startswith("https")


@pytest.mark.parametrize(
    "url", ["http://ann:secret@db", "http://db/exec", "http://db/?a=1", "http://::1:9000", "db:9000", "http://db:x"]
)
def test_an_address_of_another_shape_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ValidationError) as error:
        QuestDBSettings(url=url)

    assert "secret" not in str(error.value.errors()[0]["msg"])


class Gate:
    """A proxy before QuestDB, as nginx is one: a path of its own, a limit of the size, TLS or none."""

    def __init__(self, target: str, *, prefix: str = "", most_bytes: int = 1 << 30) -> None:
        self._target = urllib.parse.urlsplit(target)
        self._prefix = prefix
        self._most_bytes = most_bytes
        self.sizes: list[int] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        self.sizes.append(size)
        method, path, rest = head.split(b" ", 2)
        if size > self._most_bytes:
            writer.write(b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 6\r\n\r\n<html>")
            await writer.drain()
            return
        if not path.startswith(self._prefix.encode()):
            await answer("404 Not Found")(reader, writer)
            return
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        far_writer.write(b" ".join((method, path[len(self._prefix) :], rest)) + await reader.readexactly(size))
        while piece := await far_reader.read(65_536):
            writer.write(piece)
            await writer.drain()
            if piece.endswith((b"\r\n0\r\n\r\n", b"\r\n\r\n")):
                break
        far_writer.close()


@asynccontextmanager
async def gate(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve with TLS; gives the port."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.05)


async def test_requests_shrink_until_a_proxy_takes_them_and_stay_so(
    pair: Endpoints, settings: QuestDBSettings, table: str, client: QuestDBClient
) -> None:
    proxy = Gate(pair.questdb_url, most_bytes=20_000)
    first, second = make_frame(1_000), make_frame(1_000, asset_ids=(9,), seed=2)
    async with gate(proxy.serve) as port:
        lane = make_lane("ilp", f"http://127.0.0.1:{port}", settings, pair.import_dir, lambda *_: None)
        await lane.send(first)
        refused = sum(size > 20_000 for size in proxy.sizes)
        await lane.send(second)
    await wait_applied(client, table)

    assert refused > 0
    assert sum(size > 20_000 for size in proxy.sizes) == refused
    assert read_rows(settings.url, table) == rows_of(first, second)


async def test_a_row_that_is_too_large_alone_is_refused_with_the_remedy(
    pair: Endpoints, settings: QuestDBSettings, table: str
) -> None:
    proxy = Gate(pair.questdb_url, most_bytes=10)
    async with gate(proxy.serve) as port:
        lane = make_lane("ilp", f"http://127.0.0.1:{port}", settings, pair.import_dir, lambda *_: None)
        with pytest.raises(Refused, match="client_max_body_size"):
            await lane.send(make_frame(4))


async def test_both_lanes_and_questions_go_through_tls_and_a_path_of_a_proxy(
    pair: Endpoints, settings: QuestDBSettings, table: str, tmp_path: Path
) -> None:
    authority, proxy = Authority(tmp_path), Gate(pair.questdb_url, prefix="/questdb")
    frame = make_frame(50)
    async with gate(proxy.serve, authority.sign("DNS:localhost")) as port:
        url = f"https://localhost:{port}/questdb"
        far = settings.model_copy(update={"url": url, "tls_ca": str(authority.file)})
        client = QuestDBClient(far, url)
        await IlpLane(client.url, far).send(frame)
        await wait_applied(client, table)

        assert (await client.query(f"SELECT count() FROM {table}")).rows == [[50]]


@pytest.mark.parametrize(
    ("name", "days", "trusted", "words"),
    [
        ("DNS:localhost", 30, False, "tls_ca in [databases.questdb]"),
        ("DNS:elsewhere.example", 30, True, "is not for localhost"),
        ("DNS:localhost", -1, True, "has expired"),
    ],
)
async def test_a_certificate_that_is_not_accepted_is_refused_in_words(
    name: str, days: int, trusted: bool, words: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    settings = QuestDBSettings(tls_ca=str(authority.file) if trusted else "", user="a", password=SecretStr("b"))
    async with gate(answer("200 OK"), authority.sign(name, days=days)) as port:
        url = f"https://localhost:{port}"
        for attempt in (QuestDBClient(settings, url).query("SELECT 1"), IlpLane(url, settings).send(make_frame(1))):
            with pytest.raises(Refused) as error:
                await attempt
            assert words in str(error.value)
            assert "Error" not in str(error.value)


async def test_tls_to_a_plain_port_and_the_reverse_are_told(pair: Endpoints, tmp_path: Path) -> None:
    plain = QuestDBClient(QuestDBSettings(), pair.questdb_url.replace("http:", "https:"))
    with pytest.raises(Refused, match="Write http://"):
        await persist(lambda: plain.query("SELECT 1"))

    async with gate(answer("200 OK"), Authority(tmp_path).sign("DNS:localhost")) as port:
        client = QuestDBClient(QuestDBSettings(), f"http://localhost:{port}")
        with pytest.raises(Refused, match="Write https://"):
            await persist(lambda: client.query("SELECT 1"))


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_useless_file_of_the_authority_is_a_configuration_error(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content, encoding="ascii")

    with pytest.raises(ConfigError, match="authority"):
        QuestDBClient(QuestDBSettings(tls_ca=str(file)), "https://localhost")


async def test_a_name_has_no_case(pair: Endpoints, client: QuestDBClient) -> None:
    """QuestDB's names have none: a table that is there under another spelling is that table."""
    lower = unique_name("prices")
    small = QuestDBSettings(url=pair.questdb_url, table=lower)
    large = small.model_copy(update={"table": lower.upper()})
    made = await ensure_table(client, small)

    assert await ensure_table(client, large) == made
    assert await read_identity(client, large.table) == made
    for name in ("ilp", "bulk"):
        lane = make_lane(name, large.url, large, pair.import_dir, lambda *_: None)
        await lane.send(make_frame(10, asset_ids=(1 if name == "ilp" else 2,)))
    await wait_applied(client, large.table)

    facts, progress = await describe_table(client, large.table), await read_progress(client, large.table)
    assert facts is not None
    assert progress is not None
    assert (facts.rows, progress.table) == (20, made.table_id)
    spelled = await client.query(f"SELECT table_name FROM tables() WHERE lower(table_name) = '{lower}'")
    assert spelled.rows == [[lower]]
