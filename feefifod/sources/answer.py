"""Reading what an API sends back: bodies, the text of an error, Retry-After."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

_ERROR_BODY_BYTES: Final = 64 * 1024


async def read_some(response: aiohttp.ClientResponse) -> bytes:
    """Read the beginning of an error's body; a broken one does not hide the status."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_chunked(8 * 1024):
            body += chunk
            if len(body) >= _ERROR_BODY_BYTES:
                break
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    return bytes(body)


def read_message(body: bytes) -> str:
    """Return the text of an error: it is in `error` or in `message`, or the body is not JSON at all."""
    try:
        document = parse_json(body)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace").strip()
        return "an HTML page" if text.startswith("<") else text
    if isinstance(document, dict):
        for name in ("error", "message"):
            if isinstance(document.get(name), str):
                return str(document[name])
    return ""


def parse_json(body: bytes) -> object:
    """Parse JSON, and nothing but JSON: no NaN.

    Raises:
        ValueError, RecursionError: it is something else.
    """

    def refuse(name: str) -> object:
        raise ValueError(f"{name} is not JSON")

    return json.loads(body, parse_constant=refuse)


def read_retry_after(value: str | None, now: datetime) -> float | None:
    """Read Retry-After, seconds or a date; None when it is absent or makes no sense."""
    if value is None:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value.strip(), re.ASCII):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())
