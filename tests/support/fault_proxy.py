"""A TCP proxy that misbehaves on command, in a thread of its own, so that tests that block can use it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Mode = Literal["pass", "hang", "cut", "swallow", "truncate", "drip", "hold"]


class FaultProxy:
    """Carries bytes to a server.

    `mode` can be changed at any time and counts for every piece from then on: `pass` is honest, `hang` carries
    nothing either way (a black hole), `cut` ends every connection at once, `swallow` carries requests but ends the
    connection in place of the answer, `truncate` ends it after the first ten bytes of the answer, `drip` carries
    everything late, and the beginning of each piece byte by byte, `hold` carries requests when the mode has changed.
    While `answer` is set, that is what each request hears, in place of the server's own.
    `faults` counts what was done wrong; after `most_faults` of them the proxy is honest again.
    """

    def __init__(self, host: str, port: int) -> None:
        self.mode: Mode = "pass"
        self.most_faults: int | None = None
        self.faults = 0
        self.answer = b""
        self.port = 0
        self._target = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # Transports close in the turns of the loop after the call.

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._connection(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.answer:
            with contextlib.suppress(ConnectionError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self.answer)
                await writer.drain()
            writer.close()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        carriers = [
            asyncio.ensure_future(self._carry(reader, far_writer, answer=False)),
            asyncio.ensure_future(self._carry(far_reader, writer, answer=True)),
        ]
        try:
            await asyncio.wait(carriers, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for carrier in carriers:
                carrier.cancel()
            await asyncio.gather(*carriers, return_exceptions=True)
            writer.transport.abort()
            far_writer.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answer: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await source.read(65_536):
                fault = self._take_fault(answer)
                if fault == "hang":
                    while self.mode == "hang":
                        await asyncio.sleep(0.02)
                    return
                while fault == "hold" and self.mode == "hold":
                    await asyncio.sleep(0.02)
                if fault in ("cut", "swallow"):
                    return
                if fault == "drip":
                    piece = await _drip(piece, target)
                target.write(piece[:10] if fault == "truncate" else piece)
                await target.drain()
                if fault == "truncate":
                    return

    def _take_fault(self, answer: bool) -> Mode:
        mode = self.mode
        spent = self.most_faults is not None and self.faults >= self.most_faults
        if mode == "pass" or spent or (mode in ("swallow", "truncate") and not answer) or (mode == "hold" and answer):
            return "pass"
        self.faults += 1
        return mode


async def _drip(piece: bytes, target: asyncio.StreamWriter) -> bytes:
    """Carry the first bytes one by one; returns the rest."""
    await asyncio.sleep(0.1)
    for start in range(min(len(piece), 200)):
        target.write(piece[start : start + 1])
        await target.drain()
        await asyncio.sleep(0)
    return piece[200:]


@contextmanager
def run_proxy(host: str, port: int) -> Iterator[FaultProxy]:
    """Run a proxy before a server."""
    proxy = FaultProxy(host, port)
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def work() -> None:
        try:
            loop.run_until_complete(proxy.serve(ready, stop))
        finally:
            loop.close()

    thread = threading.Thread(target=work, name="fault proxy")
    thread.start()
    ready.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
