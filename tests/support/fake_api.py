"""What the fake price APIs share: real HTTP on loopback, limits kept and measured there, failures on command."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

from aiohttp import web

Document = dict[str, Any]
Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]
Mutation = Callable[[Document], Document]


@dataclass(frozen=True)
class Call:
    """One request as the server saw it."""

    at: float
    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class _Script:
    path: str
    times: int
    fault: Fault | None = None
    mutation: Mutation | None = None


@dataclass
class Limit:
    """At most `calls` in any `seconds`; more are answered 429."""

    calls: int
    seconds: float
    accepted: list[float] = field(default_factory=list)


class FakeApi:
    """A server on a free port of loopback. An async context manager.

    Attributes:
        calls: everything that arrived, refused or not.
        limits: kept strictly, in sliding windows.
        rejected: how many calls were answered 429 for the limits' sake.
    """

    def __init__(self, key: str, limits: tuple[Limit, ...] = ()) -> None:
        self.key = key
        self.limits = limits
        self.calls: list[Call] = []
        self.rejected = 0
        self._scripts: list[_Script] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def fail(self, fault: Fault, *, times: int = 1, path: str = "") -> None:
        """Answer the next `times` calls whose path contains `path` with a fault."""
        self._scripts.append(_Script(path, times, fault=fault))

    def change(self, mutation: Mutation, *, times: int = 1, path: str = "") -> None:
        """Let the next `times` good answers to calls whose path contains `path` pass through `mutation`."""
        self._scripts.append(_Script(path, times, mutation=mutation))

    def most_calls(self, seconds: float) -> int:
        """Return how many calls arrived in the fullest window of so many seconds."""
        times = [call.at for call in self.calls]
        return max((sum(1 for other in times if at <= other < at + seconds) for at in times), default=0)

    def leaks(self) -> list[Call]:
        """Return the calls that showed the key, or anybody's, outside the header."""
        return [
            call
            for call in self.calls
            if self.key in call.path + str(call.query) or {"apikey", "token"} & {name.lower() for name in call.query}
        ]

    @property
    def is_over_its_faults(self) -> bool:
        return not self._scripts

    async def answer(self, request: web.Request) -> Document | web.StreamResponse:
        raise NotImplementedError

    def throttled(self) -> web.Response:
        raise NotImplementedError

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        now = time.monotonic()
        self.calls.append(Call(now, request.path, dict(request.query), dict(request.headers)))
        for limit in self.limits:
            limit.accepted = [at for at in limit.accepted if at > now - limit.seconds]
            if len(limit.accepted) >= limit.calls:
                self.rejected += 1
                return self.throttled()
        for limit in self.limits:
            limit.accepted.append(now)
        script = self._next_script(request.path)
        if script is not None and script.fault is not None:
            return await script.fault(request)
        document = await self.answer(request)
        if isinstance(document, web.StreamResponse):
            return document
        if script is not None and script.mutation is not None:
            document = script.mutation(document)
        # Written by hand, so that NaN and 1e400 can be sent as a careless server would.
        return web.Response(text=json.dumps(document), content_type="application/json")

    def _next_script(self, path: str) -> _Script | None:
        for script in self._scripts:
            if script.path in path:
                script.times -= 1
                if script.times == 0:
                    self._scripts.remove(script)
                return script
        return None


def respond(status: int, body: Document | str = "", *, headers: dict[str, str] | None = None) -> Fault:
    """Answer with a status and a body: JSON, or text such as an HTML page."""

    async def fault(_: web.Request) -> web.StreamResponse:
        if isinstance(body, str):
            kind = "text/html" if body.startswith("<") else "text/plain"
            return web.Response(status=status, text=body, content_type=kind, headers=headers)
        return web.json_response(body, status=status, headers=headers)

    return fault


def redirect(location: str) -> Fault:
    return respond(302, "", headers={"Location": location})


async def reset(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def truncated(request: web.Request) -> web.StreamResponse:
    """Announce more bytes than are sent."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"status":"OK","results":[{"o":1')
    assert request.transport is not None
    request.transport.close()
    return response


async def garbage(request: web.Request) -> web.StreamResponse:
    """Send what is not HTTP."""
    assert request.transport is not None
    request.transport.write(b"\x00\xff not http at all\r\n\r\n")  # type: ignore[attr-defined]  # It is a write transport.
    request.transport.close()
    return web.Response()


async def slow(request: web.Request) -> web.StreamResponse:
    """Send a byte now and then, for ever."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    try:
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)
    except (ConnectionError, asyncio.CancelledError):
        return response


async def endless(request: web.Request) -> web.StreamResponse:
    """Send as much as the client takes."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    try:
        while True:
            await response.write(b" " * 262_144)
    except (ConnectionError, asyncio.CancelledError):
        return response


async def announced_huge(request: web.Request) -> web.StreamResponse:
    """Announce 100 GB."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(10**11)})
    await response.prepare(request)
    return response


@cache
def _bomb() -> bytes:
    return gzip.compress(b" " * 64_000_000)


async def gzip_bomb(_: web.Request) -> web.StreamResponse:
    """Send 64 MB as 64 kB, although identity was asked for."""
    return web.Response(body=_bomb(), headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
