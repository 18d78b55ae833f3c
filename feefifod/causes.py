"""Errors of networks, names and TLS in words: what is wrong, whether waiting can cure it, and what to do."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from dataclasses import dataclass
from typing import Final

_NUMBER: Final = re.compile(r"\[Errno (-?\d+)\]")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a server cannot be spoken to.

    Attributes:
        why: a clause.
        remedy: what to do; empty where the caller knows better.
        lasting: waiting does not cure it, a setting or a certificate has to be changed.
    """

    why: str
    remedy: str = ""
    lasting: bool = False


_NETWORK: Final = {
    errno.ECONNREFUSED: Cause("refuses connections: nothing listens there, or it is starting"),
    errno.ENOENT: Cause("there is no such socket: it does not run, or has its socket elsewhere"),
    errno.EACCES: Cause(
        "the system does not let this user open a connection",
        "Give the user that runs this the right to the socket, or see the rules of the firewall",
        lasting=True,
    ),
    errno.EHOSTUNREACH: Cause("there is no way to that host: it is off, or the network is down"),
    errno.ENETUNREACH: Cause("there is no way to that network: it is down, or this machine has no such addresses"),
    errno.ENETDOWN: Cause("the network is down"),
    errno.EADDRNOTAVAIL: Cause("this machine has no address or port left to connect from"),
    errno.ETIMEDOUT: Cause("does not answer: it is off, or a firewall drops what is sent there"),
    errno.ECONNRESET: Cause("ended the connection: it was stopped, or something else listens there"),
    errno.EPIPE: Cause("ended the connection while it was sent to"),
    errno.ECONNABORTED: Cause("the connection was aborted"),
    errno.EMFILE: Cause(
        "this process has no open file left", "Raise its limit, systemd: LimitNOFILE=1048576; shell: ulimit -n 1048576"
    ),
    errno.ENFILE: Cause("this machine has no open file left", "Run as root: sysctl -w fs.file-max=9223372036854775807"),
    errno.ENOBUFS: Cause("the system has no memory left for the network"),
}

_AWAKE: Final = "the name {host} cannot be looked up now: the name service does not answer"
_UNKNOWN: Final = "there is no host {host}: the name is misspelt, or the name service does not know it (yet)"
_CA: Final = "its certificate is signed by an authority that this machine does not know"
_CERTIFICATES: Final = {
    9: Cause("its certificate is not valid yet", "Set the clock of both machines: timedatectl set-ntp true", True),
    10: Cause("its certificate has expired", "Renew the certificate of the server", True),
    18: Cause("its certificate is signed by itself", "", True),
    19: Cause(_CA, "", True),
    20: Cause(_CA, "", True),
    21: Cause(_CA, "", True),
    23: Cause("its certificate was revoked", "Give the server a new certificate", True),
    62: Cause("its certificate is for another name", "Use the name that is in the certificate", True),
    64: Cause("its certificate is for another address", "Use the name that is in the certificate", True),
}
"""By the code of OpenSSL's verification. Where nothing is to be done with the server, the caller says where a CA goes."""

_TLS: Final = (
    (
        "WRONG_VERSION_NUMBER HTTP_REQUEST RECORD_LAYER_FAILURE PACKET_LENGTH_TOO_LONG",
        Cause("does not speak TLS on that port", lasting=True),
    ),
    ("CERTIFICATE_REQUIRED", Cause("asks for a client's certificate", lasting=True)),
    ("UNKNOWN_CA BAD_CERTIFICATE", Cause("does not accept our certificate", lasting=True)),
    (
        "UNSUPPORTED_PROTOCOL PROTOCOL_VERSION NO_PROTOCOLS_AVAILABLE VERSION_TOO_LOW",
        Cause("speaks no version of TLS that is still safe", "Let the server speak TLS 1.2 or newer", lasting=True),
    ),
    (
        "HANDSHAKE_FAILURE NO_SHARED_CIPHER NO_CIPHERS",
        Cause("agrees to no cipher", "Let the server speak TLS 1.2 or newer with today's ciphers", lasting=True),
    ),
    ("UNRECOGNIZED_NAME", Cause("does not know that host name", "Use a name that the server answers to", lasting=True)),
)
"""By words of OpenSSL's reason."""


def find_cause(error: BaseException, *, host: str = "") -> Cause:
    """Say what an error of the operating system, of a name look-up or of TLS means."""
    error = _unwrap(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATES.get(
            error.verify_code, Cause(f"its certificate is not accepted: {error.verify_message}", lasting=True)
        )
    if isinstance(error, ssl.SSLError):
        return _find_tls(error)
    if isinstance(error, socket.gaierror):
        name = host or "that name"
        lasting = error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
        return Cause((_UNKNOWN if lasting else _AWAKE).format(host=name), "Check the name of the host")
    if isinstance(error, TimeoutError) and not getattr(error, "errno", None):
        return _NETWORK[errno.ETIMEDOUT]
    if isinstance(error, UnicodeError):
        return Cause(f"{host or 'that'} cannot be the name of a host", "Check the name of the host", lasting=True)
    number = read_number(error)
    if number in _NETWORK:
        return _NETWORK[number]
    if isinstance(error, OSError) and number:
        return Cause(os.strerror(number))
    return Cause("the connection broke: it was stopped, or something else listens there")


def read_number(error: BaseException) -> int:
    """Return the number of an error; of several in one text, as asyncio raises them, the first; 0 for none."""
    number = getattr(error, "errno", None)
    if number:
        return int(number)
    found = _NUMBER.search(str(error))
    return int(found[1]) if found else 0


def _unwrap(error: BaseException) -> BaseException:
    """Find the error of the system that a client library has wrapped."""
    for name in ("certificate_error", "os_error"):
        inner = getattr(error, name, None)
        if isinstance(inner, BaseException):
            return _unwrap(inner)
    return error


def _find_tls(error: ssl.SSLError) -> Cause:
    reason = (error.reason or "").upper()
    for words, cause in _TLS:
        if any(word in reason for word in words.split()):
            return cause
    said = reason.replace("_", " ").lower() or "the handshake was cut"
    return Cause(f"TLS does not come about: {said}")
