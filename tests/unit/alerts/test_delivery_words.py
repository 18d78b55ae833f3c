"""A webhook that cannot be reached: the log says why, and never more of the address than its host."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from feefifod.alerts.delivery import deliver
from feefifod.config import AlertSettings
from tests.support.certificates import Authority

_SECRET = "T0K3N"


async def tell(url: str) -> dict[str, object]:
    settings = AlertSettings(webhook_url=SecretStr(f"{url}/services/{_SECRET}"))
    with capture_logs() as logs:
        assert not await deliver({"text": "x"}, settings, pause_seconds=0.001)
    [entry] = logs
    assert _SECRET not in str(entry)
    assert "Error" not in str(entry)
    return dict(entry)


async def test_nothing_listens() -> None:
    entry = await tell("http://127.0.0.1:1")

    assert "127.0.0.1 refuses connections" in str(entry["reason"])


@pytest.mark.parametrize(
    ("status", "words"), [("404 X", "no webhook at this address"), ("302 X", "elsewhere"), ("503 X", "out of order")]
)
async def test_it_answers_with_a_status(status: str, words: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        entry = await tell(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    assert words in str(entry["reason"])


async def test_tls_goes_wrong(tmp_path: Path) -> None:
    def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    context = Authority(tmp_path).sign("DNS:localhost")
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        entry = await tell(f"https://localhost:{server.sockets[0].getsockname()[1]}")

    assert "signed by no authority" in str(entry["reason"])
    assert "update-ca-certificates" in str(entry["remedy"])
