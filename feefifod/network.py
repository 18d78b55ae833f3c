"""Why a connection failed, in words: the causes that waiting cures, and those that it does not."""

from __future__ import annotations

import errno
import http.client
import os
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

_PROBE_SECONDS: Final = 3.0
_SSL_REQUEST: Final = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""How clients of PostgreSQL ask for TLS; the answer is one letter, S or N."""

_CHECK_NAME: Final = "Check the name in the URL"
_OTHER_CERTIFICATE: Final = "Renew the server's certificate there"
_NO_ISSUER: Final = frozenset({2, 18, 19, 20, 21})
_EXPIRED, _NOT_YET = 10, 9
_OTHER_NAME: Final = frozenset({62, 64})
"""Numbers of X509_V_ERR_ in OpenSSL."""

_NUMBER: Final = re.compile(r"\[Errno (\d+)\]")
_ERRNO: Final = {
    errno.ECONNREFUSED: ("{host} refuses connections: nothing listens on that port", "Start it, or correct the port"),
    errno.ECONNRESET: ("{host} ended the connection without an answer", "See the log of the server there"),
    errno.EHOSTUNREACH: ("there is no route to {host}", "Check the network, and the address in the URL"),
    errno.EHOSTDOWN: ("the machine {host} is down", "Check the machine, and the address in the URL"),
    errno.ENETUNREACH: ("the network of {host} cannot be reached", "Check the network of this machine"),
    errno.ENETDOWN: ("the network of this machine is down", "Check the network of this machine"),
    errno.ETIMEDOUT: ("{host} does not answer", "Check the network, the firewall, and the address in the URL"),
    errno.EACCES: ("this machine forbids connections to {host}", "Check the firewall of this machine"),
    errno.EPERM: ("this machine forbids connections to {host}", "Check the firewall of this machine"),
    errno.EADDRNOTAVAIL: ("this machine has no free port or no address for it", "Check the network of this machine"),
    errno.EMFILE: ("this process has too many open files", "Raise the limit of open files (ulimit -n, LimitNOFILE=)"),
    errno.ENFILE: ("this machine has too many open files", "Raise fs.file-max"),
    errno.ENOBUFS: ("this machine is out of memory for connections", "Free some memory"),
    errno.ENOMEM: ("this machine is out of memory", "Free some memory"),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a connection failed.

    Attributes:
        why: in words, without the address.
        remedy: what the operator can do.
        lasting: it does not pass by itself.
    """

    why: str
    remedy: str = ""
    lasting: bool = False


def explain(error: BaseException, host: str, *, ca_setting: str = "") -> Cause | None:
    """Explain what was raised by a socket, by TLS or by an HTTP library; None when it is none of the known kinds.

    Args:
        error: what was raised; of errors that wrap another one, that one counts.
        host: whom we spoke to.
        ca_setting: where the operator can say which authority to trust; empty for the system's store alone.
    """
    error = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    for kind, explain_it in _KINDS:
        if isinstance(error, kind):
            return explain_it(error, host, ca_setting)
    return None


def _explain_certificate(error: ssl.SSLCertVerificationError, host: str, ca_setting: str) -> Cause:
    code = error.verify_code
    if code == _EXPIRED:
        return Cause(f"the certificate of {host} has expired", f"{_OTHER_CERTIFICATE}, or set this clock", lasting=True)
    if code == _NOT_YET:
        return Cause(f"the certificate of {host} is not valid yet", "Compare the clocks of both machines", lasting=True)
    if code in _OTHER_NAME:
        remedy = "Write the name of the certificate into the URL, or give the server a certificate with this name"
        return Cause(f"the certificate there is not for {host}", remedy, lasting=True)
    if code in _NO_ISSUER:
        trust = f"Set {ca_setting} to the file of its authority (PEM)" if ca_setting else ""
        trust = trust or "Add its authority to this system's trusted certificates (update-ca-certificates)"
        return Cause(f"the certificate of {host} is signed by no authority that is trusted here", trust, lasting=True)
    return Cause(f"the certificate of {host} is not accepted: {error.verify_message}", _OTHER_CERTIFICATE, lasting=True)


def _explain_tls(error: ssl.SSLError, host: str, _: str) -> Cause:
    reason = error.reason or ""
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) or "EOF" in reason:
        return Cause(f"{host} ended the connection while TLS was being agreed on", "See the log of the server there")
    if "WRONG_VERSION_NUMBER" in reason or "HTTP_REQUEST" in reason or "RECORD_LAYER" in reason:
        return _blame_plain(host)
    if "CERTIFICATE_REQUIRED" in reason or "BAD_CERTIFICATE" in reason:
        remedy = "Let feefifod in by user and password there: certificates of clients are not supported"
        return Cause(f"{host} asks for a certificate of ours", remedy, lasting=True)
    words = reason.replace("_", " ").lower() or "no common ground"
    remedy = "Let the server there offer TLS 1.2 or 1.3"
    return Cause(f"{host} and this machine do not agree on TLS: {words}", remedy, lasting=True)


def _explain_name(error: socket.gaierror, host: str, _: str) -> Cause:
    unknown = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
    if error.errno in unknown:
        return Cause(f"there is no host of the name {host}", _CHECK_NAME, lasting=True)
    return Cause(f"the name {host} cannot be looked up now", f"Check the network and its DNS. {_CHECK_NAME}")


def _explain_silence(_error: BaseException, host: str, _: str) -> Cause:
    return Cause(f"{host} gave no answer in time", "Check the network, the firewall, and the server's load")


def _explain_refusal(_error: BaseException, host: str, _: str) -> Cause:
    why, remedy = _ERRNO[errno.ECONNREFUSED]
    return Cause(why.format(host=host), remedy)


def _explain_end(_error: BaseException, host: str, _: str) -> Cause:
    why, remedy = _ERRNO[errno.ECONNRESET]
    return Cause(why.format(host=host), remedy)


def _explain_tongue(error: http.client.HTTPException, host: str, _: str) -> Cause:
    """Explain an answer that is not HTTP."""
    if "\x15\x03" in str(getattr(error, "line", "")) or "\\x15\\x03" in str(error):
        return Cause(f"{host} speaks TLS on that port", "Write https:// instead", lasting=True)
    return Cause(f"{host} does not speak HTTP on that port", "Correct the port", lasting=True)


def _explain_number(error: OSError, host: str, _: str) -> Cause:
    # Of several addresses that were tried, asyncio puts the errors into one text.
    found = _NUMBER.search(str(error))
    number = error.errno or (int(found[1]) if found else 0)
    why, remedy = _ERRNO.get(number, (os.strerror(number) if number else "the connection broke", ""))
    return Cause(why.format(host=host), remedy)


_KINDS: Final[tuple[tuple[type[BaseException], Callable[[Any, str, str], Cause]], ...]] = (
    (ssl.SSLCertVerificationError, _explain_certificate),
    (ssl.SSLError, _explain_tls),
    (socket.gaierror, _explain_name),
    (TimeoutError, _explain_silence),
    (ConnectionRefusedError, _explain_refusal),
    (ConnectionError, _explain_end),
    (http.client.IncompleteRead, _explain_end),
    (http.client.HTTPException, _explain_tongue),
    (OSError, _explain_number),
)
"""From the special to the general."""


def probe_tongue(host: str, port: int, *, tls: bool) -> Cause | None:
    """Find out what a server speaks that ends connections without an answer. Blocking; nothing secret is sent.

    Args:
        tls: TLS is what it does not understand; else HTTP is.
    """
    return _probe_plain(host, port) if tls else _probe_others(host, port)


def _probe_plain(host: str, port: int) -> Cause | None:
    try:
        with socket.create_connection((host, port), _PROBE_SECONDS) as probe:
            probe.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
            return _blame_plain(host) if probe.recv(5) == b"HTTP/" else None
    except OSError:
        return None


def _blame_plain(host: str) -> Cause:
    return Cause(f"{host} does not speak TLS on that port", "Write http:// instead, or correct the port", lasting=True)


def _probe_others(host: str, port: int) -> Cause | None:
    try:
        with socket.create_connection((host, port), _PROBE_SECONDS) as probe:
            probe.settimeout(_PROBE_SECONDS)
            probe.sendall(_SSL_REQUEST)
            if probe.recv(1) in {b"S", b"N"}:
                remedy = "Correct the port: QuestDB speaks HTTP on 9000, and PostgreSQL's protocol on 8812"
                return Cause(f"{host} speaks PostgreSQL's protocol on that port", remedy, lasting=True)
    except OSError:
        pass  # It does not understand that; it may understand the next.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), _PROBE_SECONDS) as probe,
            context.wrap_socket(probe, server_hostname=host),
        ):
            return Cause(f"{host} speaks TLS on that port", "Write https:// instead", lasting=True)
    except (OSError, ValueError):
        return None
