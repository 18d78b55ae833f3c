"""One HTTP client for every price API: paced, bounded, patient, and careful with the key.

- Every attempt, a retry too, takes a slot of the pacer first.
- The key travels in a header to the configured host only; redirects are never followed, and proxies of the environment
  are not used. It appears in no URL, log or exception, also when the server sends it back in an error text.
- A body is read up to a cap and a time limit, uncompressed, so that no answer can exhaust memory.
- A failed attempt is retried with backoff; a 429 makes every process wait. What cannot get better is not retried.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import aiohttp
import anyio
import structlog
from anyio.to_thread import run_sync
from yarl import URL

from feefifod.errors import BadInput, ConfigError, FeefifodError, Refused, Unavailable
from feefifod.network import explain
from feefifod.sources.answer import parse_json, read_message, read_retry_after, read_some
from feefifod.sources.failure import NotFound, SourceStopped
from feefifod.sources.tally import calls

if TYPE_CHECKING:
    from types import TracebackType

    from pydantic import SecretStr

    from feefifod.model import Source
    from feefifod.sources.pacing import Pacer

T = TypeVar("T")
Document = dict[str, Any]

MiB: Final = 1024 * 1024
BODY_BYTES: Final = 8 * MiB

_LARGE_BYTES: Final = 256 * 1024
"""Above this, JSON is parsed in a thread: it would stall the event loop for longer than a few milliseconds."""

_parsing = anyio.CapacityLimiter(1)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try.

    Attributes:
        attempts: of one call, when the network or the server fails.
        backoff_seconds, backoff_cap_seconds: the wait doubles from the one to the other, with jitter.
        timeout_seconds: of one attempt, from connecting to the last byte.
        window_seconds: the wait after a 429 that names none: the limits are per minute.
        retry_after_cap_seconds: the longest wait that a server may ask for.
        throttled_seconds: waits after 429 that one call adds up before it gives up.
    """

    attempts: int = 5
    backoff_seconds: float = 1.0
    backoff_cap_seconds: float = 30.0
    timeout_seconds: float = 60.0
    window_seconds: float = 60.0
    retry_after_cap_seconds: float = 300.0
    throttled_seconds: float = 900.0


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the APIs.

    Attributes:
        sign: makes the headers that carry the key.
        refuse: turns a status and the API's text into an error, or None when the status alone decides.
    """

    source: Source
    sign: Callable[[str], Mapping[str, str]]
    refuse: Callable[[int, str], FeefifodError | None]


class Again(Exception):
    """This attempt failed in a way that the next one may not.

    Args:
        error: to raise when the attempts are used up.
        attempts: of them, when fewer than usual make sense.
        wait_seconds: what the server asked for.
    """

    def __init__(self, error: FeefifodError, *, attempts: int | None = None, wait_seconds: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.attempts = attempts
        self.wait_seconds = wait_seconds


class _Throttled(Exception):
    """The server answered 429."""

    def __init__(self, text: str, retry_after: float | None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class HttpClient:
    """Calls one API. An async context manager; it may be used by several tasks.

    Args:
        pacer: gives out call slots.
        sleep, uniform: for tests.

    Raises:
        ConfigError: `base_url` is not an http(s) address without query and credentials.
    """

    def __init__(
        self,
        dialect: Dialect,
        base_url: str,
        key: SecretStr,
        pacer: Pacer,
        *,
        patience: Patience | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.base = _check_base(base_url, f"sources.{dialect.source}.base_url")
        self._dialect = dialect
        self._key = key
        self._pacer = pacer
        self._patience = patience or Patience()
        self._sleep = sleep
        self._uniform = uniform
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "feefifod",
                **self._dialect.sign(self._key.get_secret_value()),
            },
            timeout=aiohttp.ClientTimeout(total=self._patience.timeout_seconds, connect=15),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            middlewares=(_send_once,),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def url(self, path: str, query: Mapping[str, str]) -> URL:
        """Return the address of an endpoint; `path` is already percent-encoded."""
        return self.base.with_path(self.base.raw_path.rstrip("/") + path, encoded=True).with_query(query)

    async def get(self, url: URL, read: Callable[[Document], T], *, max_bytes: int = BODY_BYTES) -> T:
        """Get a JSON object and return what `read` makes of it.

        `read` may raise `Again` for an answer that a second try may better, or any of our errors.

        Raises:
            Unavailable: the API stays away, or throttles for too long.
            BadInput, SourceStopped: see `failure`.
        """
        failures = throttled = 0
        held_seconds = 0.0
        while True:
            await self._pacer.wait()
            try:
                answer = read(await self._attempt(url, max_bytes))
            except _Throttled as throttle:
                calls[self._dialect.source, "throttled"] += 1
                throttled += 1
                seconds = self._hold_seconds(throttle.retry_after, throttled)
                held_seconds += seconds
                if held_seconds > self._patience.throttled_seconds:
                    raise Unavailable(
                        f"the API limits our calls for too long: {throttle}",
                        where=self._place(url),
                        remedy=f"Check sources.{self._dialect.source}.calls_per_minute against the plan, and the key",
                        retry_after_seconds=seconds,
                    ) from None
                _log.warning("api_throttled", source=str(self._dialect.source), seconds=round(seconds, 1))
                await self._pacer.hold_off(seconds)
            except Again as again:
                failures += 1
                calls[self._dialect.source, "retried"] += 1
                if failures >= (again.attempts or self._patience.attempts):
                    raise self._clean(again.error) from None
                seconds = max(again.wait_seconds or 0.0, self._backoff_seconds(failures))
                why = self._clean(again.error).why
                _log.info("api_retry", source=str(self._dialect.source), why=why, seconds=round(seconds, 1))
                await self._sleep(seconds)
            except FeefifodError as error:
                calls[self._dialect.source, "failed"] += 1
                raise self._clean(error) from None
            else:
                calls[self._dialect.source, "ok"] += 1
                return answer

    async def _attempt(self, url: URL, max_bytes: int) -> Document:
        if self._session is None:
            raise RuntimeError("the client is used outside its context")
        if url.origin() != self.base.origin():
            raise Refused("the key goes to the configured host only", where=self._place(url))
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status == 200:
                    return await self._parse(await self._read(response, max_bytes, url), url)
                raise await self._classify(response, url)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Never chained: some of aiohttp's errors carry the request's headers, and the key with them.
            raise self._explain(error, url) from None

    def _explain(self, error: Exception, url: URL) -> Exception:
        cause = explain(error, self.base.host or "")
        if cause is None:
            what = self._tidy(str(error)) or "the connection broke"
            return Again(Unavailable(f"the call failed: {what}", where=self._place(url)))
        if cause.lasting:
            remedy = f"{cause.remedy} (sources.{self._dialect.source}.base_url)"
            return SourceStopped(f"the call failed: {cause.why}", where=self._place(url), remedy=remedy)
        return Again(Unavailable(f"the call failed: {cause.why}", where=self._place(url), remedy=cause.remedy))

    async def _read(self, response: aiohttp.ClientResponse, max_bytes: int, url: URL) -> bytes:
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding != "identity":
            raise Again(
                Unavailable(f"the answer is compressed ({self._tidy(encoding)}), unasked", where=self._place(url))
            )
        too_large = BadInput(f"the answer is larger than {max_bytes // MiB} MiB", where=self._place(url))
        if (response.content_length or 0) > max_bytes:
            raise too_large
        body = bytearray()
        async for chunk in response.content.iter_chunked(64 * 1024):
            body += chunk
            if len(body) > max_bytes:
                raise too_large
        return bytes(body)

    async def _parse(self, body: bytes, url: URL) -> Document:
        try:
            if len(body) > _LARGE_BYTES:
                document = await run_sync(parse_json, body, limiter=_parsing)
            else:
                document = parse_json(body)
        except (ValueError, RecursionError):
            raise Again(Unavailable("the answer is not JSON", where=self._place(url))) from None
        if not isinstance(document, dict):
            raise Again(Unavailable("the answer is not a JSON object", where=self._place(url)))
        return document

    async def _classify(self, response: aiohttp.ClientResponse, url: URL) -> Exception:
        status, place = response.status, self._place(url)
        if 300 <= status < 400:
            return SourceStopped(
                f"the API redirects elsewhere (HTTP {status}), and the key goes to the configured host only",
                where=place,
                remedy=f"Correct sources.{self._dialect.source}.base_url",
            )
        text = self._tidy(read_message(await read_some(response)))
        error = self._dialect.refuse(status, text)
        if error is not None:
            error.where = error.where or place
            return error
        if status == 429:
            return _Throttled(text, read_retry_after(response.headers.get("Retry-After"), datetime.now(UTC)))
        why = f"HTTP {status}{': ' if text else ''}{text}"
        if status >= 500 or status == 408:
            asked = read_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
            wait = None if asked is None else min(asked, self._patience.retry_after_cap_seconds)
            return Again(Unavailable(why, where=place), wait_seconds=wait)
        if status == 404:
            return NotFound(why, where=place)
        return BadInput(why, where=place)

    def _hold_seconds(self, retry_after: float | None, times: int) -> float:
        window = self._patience.window_seconds
        if retry_after is None:
            return window + self._uniform(0, 1)
        # A server that always asks for a second or less is not called every second for a quarter of an hour.
        return min(max(retry_after, min(window, 2.0 ** (times - 1))), self._patience.retry_after_cap_seconds)

    def _backoff_seconds(self, failures: int) -> float:
        longest = min(self._patience.backoff_cap_seconds, self._patience.backoff_seconds * 2.0 ** (failures - 1))
        return self._uniform(longest / 2, longest)

    def _place(self, url: URL) -> str:
        return f"{self._dialect.source} {url.path}"

    def _clean(self, error: FeefifodError) -> FeefifodError:
        """Take the key and control characters out of an error that quotes the API."""
        error.why = self._tidy(error.why)
        error.args = (error.why,)
        return error

    def _tidy(self, text: str) -> str:
        text = text.replace(self._key.get_secret_value(), "(key)")
        return "".join(char if char.isprintable() else " " for char in text)[:300].strip()


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a GET a second time by itself, past the pacer, when the connection breaks."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(str(error)) from None


def _check_base(base_url: str, setting: str) -> URL:
    remedy = "Write an address such as https://api.example.com"
    try:
        url = URL(base_url)
    except ValueError:
        raise ConfigError("not an address", where=setting, remedy=remedy) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError("not an http or https address", where=setting, remedy=remedy)
    if url.user or url.password or url.query_string or url.fragment:
        raise ConfigError("an address without user, query and fragment is needed", where=setting, remedy=remedy)
    return url
