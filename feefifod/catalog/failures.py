"""What goes wrong between asyncpg and PostgreSQL, in our words: what to wait for, and what a person has to mend."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

import asyncpg

from feefifod.catalog.address import WHERE
from feefifod.errors import ConfigError, FeefifodError, Refused, Unavailable

# A server that restarts, fails over or became read-only says so with these: the connection is dead, the work is not.
AWAY: Final = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)

_LOOK: Final = "Check that it runs there, and that [postgres] url is right"
_AGAIN: Final = "It is tried again; see the server's log if that goes on"
_NO_WAY: Final = "no server there takes changes: they are read-only copies, or are about to take over"
_CLOSED: Final = "the connection was closed before the answer was there"
_SILENT: Final = "nothing listens there: it is not running, or is starting"

_Kind = type[Refused] | type[Unavailable] | type[ConfigError]

_ANSWERS: Final[tuple[tuple[type[asyncpg.PostgresError], str, _Kind, str, str], ...]] = (
    (asyncpg.InvalidPasswordError, "", Refused, "", "Set the right user and password in [postgres] url"),
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "",
        Refused,
        "",
        "Let its pg_hba.conf admit this user from this machine, or name another one in [postgres] url",
    ),
    (asyncpg.InvalidCatalogNameError, "", Refused, "", "Create it (createdb NAME), or name another in [postgres] url"),
    (
        asyncpg.InsufficientPrivilegeError,
        "",
        Refused,
        "the user may not do that: ",
        "Give feefifod's user a database of its own, or: GRANT CREATE, USAGE ON SCHEMA public TO USER",
    ),
    (
        asyncpg.UndefinedObjectError,
        "configuration parameter",
        ConfigError,
        "the URL has a parameter that the server does not know: ",
        "Take it out of [postgres] url",
    ),
    (
        asyncpg.ProtocolViolationError,
        "startup parameter",
        ConfigError,
        "the server, or the pooler before it, refuses: ",
        "Take it out of [postgres] url, or let the pooler pass over it (ignore_startup_parameters)",
    ),
    (
        asyncpg.TooManyConnectionsError,
        "",
        Unavailable,
        "",
        "Let others go, or raise its max_connections; it is tried again",
    ),
    (asyncpg.ReadOnlySQLTransactionError, "", Unavailable, "it is a read-only copy now: ", _AGAIN),
)
"""Answers, a part of their text, what they mean for us, what to say before the server's words, and what to do.

The classes are those of the PostgreSQL manual, appendix A.
"""

_SYSTEM: Final = {
    errno.ECONNREFUSED: _SILENT,
    errno.ECONNRESET: "the connection was cut",
    errno.EPIPE: "the connection was cut",
    errno.EHOSTUNREACH: "there is no way to that host",
    errno.ENETUNREACH: "there is no way to that network",
    errno.ETIMEDOUT: "it does not answer in time",
    errno.EACCES: "the system does not let us connect",
    errno.EMFILE: "this process has no more open files to spare",
}


def explain(error: BaseException, where: str = "PostgreSQL") -> FeefifodError:
    """Turn an error of asyncpg, of TLS or of the system into ours. No text of it can hold the password."""
    if isinstance(error, FeefifodError):
        return error
    for kind, tell in _TELLERS:
        if isinstance(error, kind):
            return tell(error, where)
    return Unavailable(_CLOSED, where=where, remedy=_LOOK)


def _explain_answer(error: asyncpg.PostgresError, where: str) -> FeefifodError:
    """Say what the server's own words mean for us."""
    text = str(error)
    for answer, part, kind, before, remedy in _ANSWERS:
        if isinstance(error, answer) and part in text:
            return kind(before + text, where=where, remedy=remedy)
    if isinstance(error, asyncpg.PostgresConnectionError) and not isinstance(error, asyncpg.ProtocolViolationError):
        return Unavailable(_CLOSED, where=where, remedy=_LOOK)
    if isinstance(error, AWAY):
        return Unavailable(text, where=where, remedy=_AGAIN)
    return Refused(f"PostgreSQL refused a statement: {text}", where=where)


def _explain_target(_: BaseException, where: str) -> FeefifodError:
    remedy = "Let [postgres] url name the server that takes changes, or all of them: HOST1,HOST2"
    return Unavailable(_NO_WAY, where=where, remedy=remedy)


def _explain_tls(error: ssl.SSLError, where: str) -> FeefifodError:
    if isinstance(error, ssl.SSLCertVerificationError):
        told = error.verify_message or "it cannot be checked"
        remedy = "Add sslrootcert=/path/of/its/authority.pem to [postgres] url"
        if "expired" in told or "not yet valid" in told:
            remedy = "Renew it, or set this machine's clock"
        elif "mismatch" in told or "not valid for" in told:
            remedy = "Name the host in [postgres] url as its certificate does, or set sslmode=verify-ca"
        return Refused(f"its certificate is not accepted: {told}", where=where, remedy=remedy)
    if error.reason in ("UNEXPECTED_EOF_WHILE_READING", None):
        return Unavailable(_CLOSED, where=where, remedy=_LOOK)
    return Refused(
        f"no encrypted connection comes about: {(error.reason or '').replace('_', ' ').lower()}",
        where=where,
        remedy="Set sslmode in [postgres] url to what the server does; sslmode=disable is without encryption",
    )


def _explain_configuration(error: BaseException, _: str) -> FeefifodError:
    text = str(error)
    if re.search(r"root certificate|root\.crt|sslrootcert", text):
        return ConfigError(
            "sslmode asks for the certificate to be checked, and no authority to check it by is named",
            where=WHERE,
            remedy="Add sslrootcert=/path/of/its/authority.pem, or sslrootcert=system",
        )
    return ConfigError(text or "it cannot be read", where=WHERE)


def _explain_name(error: socket.gaierror, where: str) -> FeefifodError:
    if error.errno == socket.EAI_AGAIN:
        return Unavailable("the host's name cannot be looked up now", where=where, remedy="Look at DNS and the network")
    return Refused("there is no host of this name", where=where, remedy="Correct the host in [postgres] url")


def _explain_system(error: OSError, where: str) -> FeefifodError:
    if isinstance(error, PermissionError) and error.filename and error.errno == errno.EACCES:
        return Refused(
            f"the system does not let us look at {error.filename}, where TLS keys may be",
            where=where,
            remedy="Set HOME to the home folder of the user that runs this",
        )
    if "rejected SSL upgrade" in str(error):
        return Refused(
            "the server speaks without encryption only, and sslmode asks for it",
            where=where,
            remedy="Switch its ssl on, or set sslmode=prefer in [postgres] url",
        )
    if isinstance(error, FileNotFoundError):
        why = f"there is no socket {error.filename}" if error.filename else "there is no such socket"
    elif isinstance(error, ConnectionError) and error.errno is None:
        why = _CLOSED
    else:
        # Where several addresses were tried, all of them stand in one text.
        several = _SILENT if f"Errno {errno.ECONNREFUSED}" in str(error) else ""
        why = _SYSTEM.get(error.errno or 0) or several or error.strerror or str(error) or "it cannot be reached"
    return Unavailable(why, where=where, remedy=_LOOK)


def _explain_silence(_: BaseException, where: str) -> FeefifodError:
    return Unavailable("it does not answer in time", where=where, remedy=_LOOK)


_TELLERS: Final[tuple[tuple[type[BaseException], Callable[[Any, str], FeefifodError]], ...]] = (
    (ssl.SSLError, _explain_tls),
    (asyncpg.PostgresError, _explain_answer),
    (asyncpg.exceptions.TargetServerAttributeNotMatched, _explain_target),
    (asyncpg.exceptions.ClientConfigurationError, _explain_configuration),
    (socket.gaierror, _explain_name),
    (TimeoutError, _explain_silence),
    (OSError, _explain_system),
    (ValueError, _explain_configuration),
)
