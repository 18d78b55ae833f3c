"""What goes wrong between asyncpg and PostgreSQL, in our words: what to wait for, and what a person has to mend."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from typing import Final

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

_UNKNOWN_HOST: Final = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_POOLER: Final = re.compile(r"startup parameter|no such database|unsupported", re.IGNORECASE)
_LOOK: Final = "Check that it runs there, and that [postgres] url is right"


def explain(error: BaseException, where: str = "PostgreSQL") -> FeefifodError:
    """Turn an error of asyncpg, of TLS or of the system into ours. No text of it can hold the password."""
    if isinstance(error, FeefifodError):
        return error
    if isinstance(error, ssl.SSLError):
        return _explain_tls(error, where)
    if isinstance(error, asyncpg.PostgresError):
        return _explain_answer(error, where)
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return Unavailable(
            "no server there takes changes: they are read-only copies, or are about to take over",
            where=where,
            remedy="Let [postgres] url name the server that takes changes, or all of them: HOST1,HOST2",
        )
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError | ValueError):
        return _explain_configuration(str(error), where)
    if isinstance(error, TimeoutError):
        return Unavailable("it does not answer in time", where=where, remedy=_LOOK)
    if isinstance(error, OSError):
        return _explain_system(error, where)
    return Unavailable("the connection was closed before the answer was there", where=where, remedy=_LOOK)


def _explain_answer(error: asyncpg.PostgresError, where: str) -> FeefifodError:
    """The server's own words, and what they mean for us (PostgreSQL manual, appendix A: error codes)."""
    text = str(error)
    if isinstance(error, asyncpg.InvalidPasswordError):
        return Refused(text, where=where, remedy="Set the right user and password in [postgres] url")
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return Refused(
            text, where=where, remedy="Let its pg_hba.conf admit this user from this machine, or name another"
        )
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return Refused(text, where=where, remedy="Create it, as feefifod's user: createdb NAME; or name another one")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        remedy = "Give the user its own database, or: GRANT CREATE, USAGE ON SCHEMA public TO USER"
        return Refused(f"the user may not do that: {text}", where=where, remedy=remedy)
    if isinstance(error, asyncpg.UndefinedObjectError) and "configuration parameter" in text:
        return ConfigError(f"the URL has a parameter that the server does not know: {text}", where=WHERE)
    if isinstance(error, asyncpg.ProtocolViolationError) and _POOLER.search(text):
        remedy = "Take it out of the URL, or let the pooler pass over it: ignore_startup_parameters"
        return ConfigError(f"the server or the pooler before it refuses: {text}", where=WHERE, remedy=remedy)
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return Unavailable(text, where=where, remedy="Let others go, or raise its max_connections; it is tried again")
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return Unavailable("it is a read-only copy now", where=where, remedy="Another one takes over, or it is told to")
    if isinstance(error, AWAY):
        return Unavailable(text, where=where, remedy="It is tried again; see the server's log if that goes on")
    return Refused(f"PostgreSQL refused a statement: {text}", where=where)


def _explain_tls(error: ssl.SSLError, where: str) -> FeefifodError:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"its certificate is not accepted: {error.verify_message}"
        if error.verify_code in (10, 9):
            return Refused(why, where=where, remedy="Renew it, or set this machine's clock")
        if "mismatch" in error.verify_message or "not valid for" in error.verify_message:
            return Refused(why, where=where, remedy="Name the host as its certificate does, or use sslmode=verify-ca")
        return Refused(why, where=where, remedy="Add sslrootcert=/path/of/its/authority.pem to [postgres] url")
    if error.reason in ("UNEXPECTED_EOF_WHILE_READING", None):
        return Unavailable("the connection was closed in mid-sentence", where=where, remedy=_LOOK)
    return Refused(
        f"no encrypted connection comes about: {(error.reason or '').replace('_', ' ').lower()}",
        where=where,
        remedy="Set sslmode in [postgres] url to what the server does; sslmode=disable is without encryption",
    )


def _explain_configuration(text: str, where: str) -> FeefifodError:
    if "root certificate" in text or "root.crt" in text or "sslrootcert" in text:
        return ConfigError(
            "sslmode asks for the certificate to be checked, and no authority to check it by is named",
            where=WHERE,
            remedy="Add sslrootcert=/path/of/its/authority.pem",
        )
    return ConfigError(text or "it cannot be read", where=WHERE)


def _explain_system(error: OSError, where: str) -> FeefifodError:
    if isinstance(error, socket.gaierror):
        if error.errno in _UNKNOWN_HOST:
            return Refused("there is no host of this name", where=where, remedy="Correct the host in [postgres] url")
        return Unavailable("the host's name cannot be looked up now", where=where, remedy="Look at DNS and the network")
    if isinstance(error, PermissionError) and error.filename:
        return Refused(
            f"the system does not let us look at {error.filename}, where TLS keys may be",
            where=where,
            remedy="Set HOME to the home folder of the user that runs this",
        )
    if isinstance(error, FileNotFoundError) and error.filename:
        if str(error.filename).endswith((".pem", ".crt", ".key", ".cer")):
            return ConfigError(f"there is no file {error.filename}", where=WHERE)
        return Unavailable(f"there is no socket {error.filename}", where=where, remedy=_LOOK)
    if "rejected SSL upgrade" in str(error):
        return Refused(
            "the server speaks without encryption only, and sslmode asks for it",
            where=where,
            remedy="Switch its ssl on, or set sslmode=prefer in [postgres] url",
        )
    why = {
        errno.ECONNREFUSED: "nothing listens there: it is not running, or is starting",
        errno.ECONNRESET: "the connection was cut",
        errno.EHOSTUNREACH: "there is no way to that host",
        errno.ENETUNREACH: "there is no way to that network",
        errno.EACCES: "the system does not let us connect",
        errno.EMFILE: "this process has no more open files to spare",
    }.get(error.errno or 0)
    if why is None and isinstance(error, ConnectionError) and error.errno is None:
        why = "the connection was closed before the answer was there"
    return Unavailable(why or _find_words(error), where=where, remedy=_LOOK)


def _find_words(error: OSError) -> str:
    """Find words of the system's; several addresses that were tried stand in one text."""
    if "Errno 111" in str(error):
        return "nothing listens there: it is not running, or is starting"
    return error.strerror or str(error) or "it cannot be reached"
