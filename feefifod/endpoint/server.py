"""A small HTTP server on loopback that can only be read.

A web page that somebody visits on this machine can send requests here too. It learns nothing and changes nothing: only
GET and HEAD are answered, without any CORS header, and only under names that mean this machine (a rebound DNS name
does not). What is answered holds no secret.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from feefifod.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_OWN_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_METHODS: Final = frozenset({"GET", "HEAD"})
_HEADER_BYTES: Final = 4096
_BODY_BYTES: Final = 1024
_IDLE_SECONDS: Final = 30.0
_CLOSE_SECONDS: Final = 1.0
_NO_LISTENING: Final = {
    errno.EACCES: "ports below 1024 are for root",
    errno.EADDRNOTAVAIL: "this is no address of this machine",
    errno.EAFNOSUPPORT: "this machine has no addresses of this kind (IPv6 is off)",
}
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Body:
    """An answer: whether all is well (200) or not (503), and a JSON document or a text with its content type."""

    well: bool
    content: dict[str, Any] | bytes
    content_type: str = "application/json; charset=utf-8"


Answers = dict[str, Callable[[], Awaitable[Body]]]
"""What is answered under each path."""


@asynccontextmanager
async def serve(listen: str, answers: Answers, *, name_holder: Callable[[int], str]) -> AsyncIterator[None]:
    """Answer at `address:port` until the end of the block; "" answers nowhere.

    Args:
        listen: where.
        answers: what.
        name_holder: names the process that has a port.

    Raises:
        ConfigError: the port is busy, or the address is none of this machine.
    """
    if not listen:
        yield
        return
    parts = urlsplit(f"//{listen}")
    host, port = parts.hostname or "", parts.port or 0
    app = web.Application(middlewares=[_guard(_OWN_NAMES | {host})], client_max_size=_BODY_BYTES)
    for path, answer in answers.items():
        app.router.add_get(path, _handle(answer))
    runner = web.AppRunner(
        app,
        handle_signals=False,
        access_log=None,
        keepalive_timeout=_IDLE_SECONDS,
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
        shutdown_timeout=_CLOSE_SECONDS,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise _explain(error, host, port, name_holder) from None
        yield
    finally:
        await runner.cleanup()


def _explain(error: OSError, host: str, port: int, name_holder: Callable[[int], str]) -> ConfigError:
    remedy = 'Choose another address in [http] listen, or "" for none'
    if error.errno == errno.EADDRINUSE:
        return ConfigError(f"port {port} is busy: {name_holder(port)} has it", where="[http] listen", remedy=remedy)
    # The system's own text names the address again, as Python writes it.
    why = _NO_LISTENING.get(error.errno or 0) or os.strerror(error.errno or errno.EINVAL)
    if isinstance(error, socket.gaierror):
        why = f"there is no host of the name {host}"
    return ConfigError(f"cannot listen on {host}, port {port}: {why}", where="[http] listen", remedy=remedy)


def _handle(answer: Callable[[], Awaitable[Body]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_: web.Request) -> web.Response:
        body = await answer()
        content = body.content
        data = content if isinstance(content, bytes) else json.dumps(content, indent=2).encode() + b"\n"
        return web.Response(
            status=200 if body.well else 503, body=data, headers={"Content-Type": body.content_type, **_HEADERS}
        )

    return handle


def _guard(names: frozenset[str]) -> Any:
    """Make the middleware that refuses other names of this machine, and other methods than those that read."""

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if _host_of(request.headers.get("Host", "")) not in names:
            return _say(421, "this server answers as localhost only")
        if request.method not in _METHODS:
            return _say(405, "this server can only be read", Allow="GET, HEAD")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _say(error.status, f"{error.reason}: there is {', '.join(_paths(request))}".lower())

    return guard


def _paths(request: web.Request) -> list[str]:
    return sorted({str(resource.canonical) for resource in request.app.router.resources()})


def _host_of(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _say(status: int, text: str, **headers: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers={**_HEADERS, **headers})
