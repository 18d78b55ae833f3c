"""What an answer of QuestDB, of a proxy before it, or of something else at its address means for us."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from feefifod.errors import FeefifodError, Refused, Unavailable
from feefifod.network import Cause, explain
from feefifod.sink.address import CA_SETTING, Address

_TRANSIENT: Final = re.compile(
    r"timeout, query aborted|\berrno=|No space left|memory limit|out of memory|table busy|busy \[|could not lock|retry",
    re.IGNORECASE,
)
"""What QuestDB says in a 400 or 500 that a later try can cure: limits, locks and the disk."""

_NO_MAPS: Final = re.compile(r"could not m(?:re)?map")
_LONGEST_WISH_SECONDS: Final = 60.0

MORE_MAPS: Final = (
    "It goes on by itself when readers leave. For more readers at once: on QuestDB's machine, run as root: "
    "sysctl -w vm.max_map_count=1048576; and see what feefifod doctor says of the table's partitions"
)
"""Each column of each partition that a query reads is one map."""

_LET_IN: Final = "Set user and password in [databases.questdb]"
_RIGHT_URL: Final = "Correct url in [databases.questdb]: QuestDB's HTTP port is 9000 where nothing else was set"


class Closed(Refused):
    """The way to QuestDB is closed: a wrong address, certificate or password.

    At the first contact that is a mistake of the configuration. To a server that has let us in before, it is a fault
    that an operator mends, and is waited for.
    """


class TooLarge(Refused):
    """What was sent is larger than the server, or a proxy before it, takes at once."""


def blame(cause: Cause, where: str) -> FeefifodError:
    """Make the error of a connection that failed."""
    kind = Closed if cause.lasting else Unavailable
    return kind(f"QuestDB cannot be reached: {cause.why}", where=where, remedy=cause.remedy)


def judge_connection(error: Exception, address: Address) -> FeefifodError:
    """Make the error of what a socket, TLS or http.client raised."""
    if isinstance(error, ConnectionRefusedError):
        why = "QuestDB refuses connections: it is not running there, or is starting"
        return Unavailable(why, where=address.url, remedy=look_at(address.url))
    cause = explain(error, address.host, ca_setting=CA_SETTING)
    if cause is not None:
        return blame(cause, address.url)
    return Unavailable(f"QuestDB cannot be reached: {error}", where=address.url, remedy=look_at(address.url))


def look_at(url: str) -> str:
    """Say the remedy of a server that is away."""
    return f"Check that QuestDB runs and that {url} is right"


_FOREIGN: Final[dict[int, tuple[type[FeefifodError], str, str]]] = {
    401: (Closed, "QuestDB, or a proxy before it, does not let us in", _LET_IN),
    403: (Closed, "QuestDB, or a proxy before it, does not let us in", _LET_IN),
    405: (
        Closed,
        "the server there does not take what we ask in this way",
        "Let the proxy before QuestDB pass GET /exec and POST /write on; " + _RIGHT_URL,
    ),
    407: (Closed, "a proxy on the way asks for a password", _RIGHT_URL),
    408: (Unavailable, "the proxy before QuestDB waited too long for our request", "Check the network to it"),
    413: (
        TooLarge,
        "a proxy before QuestDB does not take a request of this size",
        "Let it take larger ones (nginx: client_max_body_size 64m;)",
    ),
    414: (
        Refused,
        "the question is too long for a proxy before QuestDB",
        "Let it take longer ones (nginx: large_client_header_buffers 4 64k;)",
    ),
    421: (
        Closed,
        "the server there does not answer to this name",
        "Write the name that it has into url in [databases.questdb]",
    ),
    425: (Unavailable, "the proxy before QuestDB wants to be asked later", ""),
    429: (Unavailable, "the proxy before QuestDB limits how often we ask", "Let it pass more requests"),
    502: (Unavailable, "the proxy before QuestDB does not reach it", "Check that QuestDB runs behind it"),
    503: (Unavailable, "the proxy before QuestDB does not reach it", "Check that QuestDB runs behind it"),
    504: (Unavailable, "the proxy before QuestDB waits too long for it", "Check that QuestDB runs behind it"),
}
"""What a status means that does not come with QuestDB's own words."""


def judge_foreign(status: int, headers: Mapping[str, str], body: bytes, where: str) -> FeefifodError:
    """Make the error of an answer that is not in QuestDB's own words: a proxy's, or another server's."""
    said = f"(HTTP {status})"
    if status in _FOREIGN:
        kind, why, remedy = _FOREIGN[status]
        error = kind(f"{why} {said}", where=where, remedy=remedy)
    elif status >= 500:
        error = Unavailable(f"QuestDB answered with status {status} and no result", where=where, remedy=look_at(where))
    elif 300 <= status < 400:
        to = headers.get("location", "").split("?")[0]
        aim = f" to {to}" if to and to.isprintable() and "@" not in to else ""
        remedy = "Write the address that it redirects to into url in [databases.questdb]"
        error = Closed(f"the server there sends us elsewhere{aim} {said}", where=where, remedy=remedy)
    elif status == 400 and b"HTTPS" in body[:2000].upper():
        error = Closed(f"the server there speaks TLS on that port {said}", where=where, remedy="Write https:// instead")
    elif status == 200 and body.lstrip()[:1] == b"{":
        # An answer that is cut short reads as broken JSON: the server died, or gave up, in the middle of it.
        error = Unavailable("QuestDB's answer ends too early", where=where, remedy=look_at(where))
    else:
        error = Closed(f"what answers there is not a QuestDB {said}", where=where, remedy=_RIGHT_URL)
    if isinstance(error, Unavailable):
        error.retry_after_seconds = _read_wish(headers.get("retry-after", ""))
    return error


def _read_wish(value: str) -> float | None:
    return min(float(value), _LONGEST_WISH_SECONDS) if value.strip().isdecimal() else None


def read_document(status: int, headers: Mapping[str, str], body: bytes, where: str) -> dict[str, Any]:
    """Return what `/exec` answered.

    Raises:
        Refused, Unavailable: it is an error, or none of QuestDB's.
    """
    document = parse_object(body)
    if document is not None and "error" in document and ("query" in document or status != 404):
        raise judge(str(document["error"]), status=status, where=where, position=document.get("position"))
    if status != 200 or document is None or not document.keys() & {"columns", "ddl", "dml", "query"}:
        raise judge_foreign(status, headers, b"" if document is not None else body, where)
    return document


def judge_write(status: int, headers: Mapping[str, str], body: bytes, where: str) -> FeefifodError | None:
    """Judge what `/write` answered; None when the rows are acknowledged."""
    if status == 204:
        return None
    document = parse_object(body)
    if document is None or "message" not in document:
        return judge_foreign(status, headers, b"" if document is not None else body, where)
    code, message = str(document.get("code", "")), str(document["message"])
    if status == 413 or code == "request too large" or "too large" in message:
        return TooLarge(f"QuestDB says: {message}", where=where, remedy="Raise line.http.max.recv.buffer.size there")
    if status in {401, 403}:
        return judge(message, status=status, where=where)
    return judge(message, status=400 if code == "invalid" else 500, where=where)


def parse_object(body: bytes) -> dict[str, Any] | None:
    """Parse a JSON object; None when it is something else."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def judge(text: str, *, status: int, where: str, position: object = None) -> FeefifodError:
    """Tell what QuestDB's own error text means for us: try again, or stop."""
    place = f" (at position {position})" if position else ""
    if "errno=28" in text or "No space left" in text:
        return Unavailable(f"QuestDB's disk is full: {text}", where=where, remedy="Free some space on that disk")
    if _NO_MAPS.search(text):
        return Unavailable(f"QuestDB may have no more memory maps: {text}", where=where, remedy=MORE_MAPS)
    if status >= 500 or status in {408, 429} or _TRANSIENT.search(text):
        return Unavailable(f"QuestDB failed: {text}{place}", where=where, remedy="See the log of QuestDB if it goes on")
    if status in {401, 403}:
        return Closed(f"QuestDB does not let us in: {text}", where=where, remedy=_LET_IN)
    return Refused(f"QuestDB says: {text}{place}", where=where)
