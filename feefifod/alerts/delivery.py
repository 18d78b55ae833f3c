"""Bringing an alert to a webhook, to a command, or to both. What cannot be brought is logged, and never raised."""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import anyio
from yarl import URL

from feefifod.config import AlertSettings
from feefifod.config.environment import whole_environment
from feefifod.lasting import tell_end, tell_fault
from feefifod.network import Cause, explain

_ATTEMPTS: Final = 4
_PAUSE_SECONDS: Final = 2.0
_POST_SECONDS: Final = 15.0
_COMMAND_SECONDS: Final = 30.0
_MEANINGS: Final = {
    401: "it does not let us in",
    403: "it does not let us in",
    404: "there is no webhook at this address any more",
    410: "there is no webhook at this address any more",
    413: "the alert is too large for it",
    429: "it is told of too much in too short a time",
} | dict.fromkeys((500, 502, 503, 504), "it is out of order")
_SECRET_VARIABLES: Final = ("NOTIFY_SOCKET", "MASSIVE_API_KEY", "FINNHUB_API_KEY", "CREDENTIALS_DIRECTORY")


async def deliver(
    document: Mapping[str, Any], settings: AlertSettings, *, pause_seconds: float = _PAUSE_SECONDS
) -> bool:
    """POST the document as JSON, and give it to the command on its standard input; tells whether all went well."""
    body = json.dumps(document).encode()
    url = settings.webhook_url.get_secret_value()
    posted = await _post(body, url, pause_seconds) if url else True
    ran = await _run(body, settings.command) if settings.command else True
    return posted and ran


async def _post(body: bytes, url: str, pause_seconds: float) -> bool:
    host = URL(url).host or ""
    timeout = aiohttp.ClientTimeout(total=_POST_SECONDS)
    headers = {"Content-Type": "application/json", "User-Agent": "feefifod"}
    reason = remedy = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            await anyio.sleep(pause_seconds * 4 ** (attempt - 1))
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.post(url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                if response.status < 300:
                    tell_end("alert_not_delivered", "webhook")
                    return True
                reason, remedy = _judge(response.status), "Check [alerts] webhook_url"
                if response.status < 500 and response.status not in (408, 429):
                    break
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Never the error's own text: it can hold the address, which is a secret of many chat services.
            cause = explain(error, host) or Cause("the connection broke")
            reason, remedy = cause.why, cause.remedy
            if cause.lasting:
                break
    tell_fault("alert_not_delivered", "webhook", reason, way="webhook", host=host, remedy=remedy or None)
    return False


def _judge(status: int) -> str:
    """Say what a status means that is none of success."""
    meaning = _MEANINGS.get(status) or ("it sends us elsewhere" if status < 400 else "it does not take the alert")
    return f"{meaning} (HTTP {status})"


async def _run(body: bytes, command: str) -> bool:
    environment = {name: value for name, value in whole_environment().items() if name not in _SECRET_VARIABLES}
    try:
        # A file and not a pipe: a command that ends without reading it has done nothing wrong.
        with tempfile.TemporaryFile() as given, anyio.fail_after(_COMMAND_SECONDS):
            given.write(body)
            given.seek(0)
            done = await anyio.run_process(
                shlex.split(command), stdin=given, stdout=subprocess.DEVNULL, env=environment, check=False
            )
    except TimeoutError:
        reason = f"it runs for more than {_COMMAND_SECONDS:g} s"
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        if done.returncode == 0:
            tell_end("alert_not_delivered", "command")
            return True
        reason = f"it ended with {done.returncode}: {done.stderr.decode(errors='replace')[-200:].strip()}"
    tell_fault("alert_not_delivered", "command", reason, way="command")
    return False
