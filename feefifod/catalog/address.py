"""The URL of a PostgreSQL: what people write, read before the driver sees it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from feefifod.errors import ConfigError

WHERE: Final = "[postgres] url"
_REMEDY: Final = "Write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE"

_SCHEME: Final = re.compile(r"postgres(?:ql)?://")
_BARE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LIBPQ: Final = frozenset(
    {
        "host", "port", "user", "password", "passfile", "dbname", "database", "sslmode", "sslcert", "sslkey",
        "sslpassword", "sslrootcert", "sslcrl", "sslnegotiation", "ssl_min_protocol_version",
        "ssl_max_protocol_version", "krbsrvname", "gsslib", "service", "target_session_attrs",
    }
)  # fmt: skip
"""What asyncpg reads; all else of a URL it would send to the server as a setting of the session."""

_PASSED_OVER: Final = frozenset(
    {
        "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
        "sslcompression", "sslsni", "sslcertmode", "fallback_application_name", "load_balance_hosts",
        "min_protocol_version", "max_protocol_version", "requirepeer", "gssdelegation", "sslkeylogfile",
    }
)  # fmt: skip
"""Settings of libpq, PostgreSQL's own client library, without which a connection is as good here."""

_ONLY: Final = {
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "client_encoding": ("utf8", "utf-8", "auto"),
    "replication": ("false", "off", "no", "0"),
}
"""Settings of libpq of which these values ask for nothing, and others for what this program cannot do."""

_REFUSED: Final = frozenset(
    {
        "hostaddr", "require_auth", "sslcrldir", "oauth_issuer", "oauth_client_id", "scram_client_key",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """Where PostgreSQL is.

    Attributes:
        dsn: for asyncpg; it holds the password.
        connect_seconds: how long to try to connect, None when the URL does not say.
        shown: host, port and database, for people.
        settings: what the URL sets for each session.
        several: whether the URL names more than one server.
        tls: how to check the server's certificate, where that is by what this machine trusts (sslrootcert=system).
    """

    dsn: str = field(repr=False)
    connect_seconds: float | None
    shown: str
    settings: dict[str, str]
    several: bool = False
    tls: ssl.SSLContext | None = field(default=None, repr=False)


def read_address(url: str) -> Address:
    """Read a URL.

    Parameters of libpq (PostgreSQL manual, "Parameter Key Words") that change nothing here are passed over; what is no
    parameter of libpq is a setting of the session, as asyncpg has it.

    Raises:
        ConfigError: it is no URL of a PostgreSQL, or asks for what cannot be done; the password is not repeated.
    """
    if not _SCHEME.match(url):
        raise ConfigError("this is no URL of a PostgreSQL", where=WHERE, remedy=_REMEDY)
    _check_escapes(url)
    try:
        parts = urlsplit(url)
        asked = dict(parse_qsl(parts.query, keep_blank_values=True))
        hosts = parts.netloc.rpartition("@")[2]
        for host in hosts.split(","):
            _check_port(host)
    except ValueError:
        raise ConfigError("this is no URL of a PostgreSQL", where=WHERE, remedy=_REMEDY) from None
    if parts.netloc.endswith("@") and "host" not in asked:
        raise ConfigError("the URL names no host", where=WHERE, remedy=_REMEDY)
    kept, settings = _sort_parameters(asked)
    tls = None
    if kept.get("sslrootcert") == "system":
        del kept["sslrootcert"]
        tls = ssl.create_default_context()
    for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl"):
        if name in kept and not Path(kept[name]).is_file():
            raise ConfigError(f"{name} names no file: {kept[name]}", where=WHERE)
    database = unquote(parts.path.removeprefix("/")) or kept.get("dbname") or kept.get("database") or ""
    return Address(
        dsn=urlunsplit(parts._replace(query=urlencode(kept, quote_via=quote), fragment="")),
        connect_seconds=_read_seconds(asked.get("connect_timeout")),
        shown=f"PostgreSQL {hosts or kept.get('host', 'on this machine')}" + (f"/{database}" if database else ""),
        settings=settings,
        several="," in (hosts or kept.get("host", "")),
        tls=tls,
    )


def _sort_parameters(asked: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what asyncpg reads, and settings of the session."""
    kept: dict[str, str] = {}
    settings: dict[str, str] = {}
    for name, value in asked.items():
        if name in _LIBPQ:
            kept[name] = value
        elif name in _ONLY:
            if value.lower() not in _ONLY[name]:
                raise _cannot(f"{name}={value}", f"Leave it out, or say {name}={_ONLY[name][-1]}")
        elif name in _REFUSED:
            raise _cannot(name, "Leave it out")
        elif name not in _PASSED_OVER and name != "connect_timeout":
            settings[name] = value
    return kept, settings


def _check_escapes(url: str) -> None:
    """Find a character in a user's name or password that has to be written as %XX there, and name it."""
    rest = _SCHEME.sub("", url, count=1)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    before_query = rest.partition("?")[0]
    if "@" in authority:
        login = authority.rpartition("@")[0]
        if "/" in rest[len(authority) :].partition("?")[0] and "@" in before_query[len(authority) :]:
            raise _escape(rest[len(authority)])
        for character in "@[]":
            if character in login:
                raise _escape(character)
        if _BARE_PERCENT.search(login):
            raise _escape("%")
        return
    # The part that reads as a host ends before the "@": its password holds what ends it.
    if "@" in rest and ":" in authority and not re.fullmatch(r"\[[0-9A-Fa-f:.]+\](:\d*)?|[^:]*:\d+", authority):
        raise _escape(rest[len(authority)])
    if "@" in before_query[len(authority) :] or re.match(r"\?[^=&]*@", rest[len(authority) :]):
        raise _escape(rest[len(authority)])


def _escape(character: str) -> ConfigError:
    return ConfigError(
        f"the user's name or the password in the URL holds {character!r}, which means something else there",
        where=WHERE,
        remedy=f"Write %{ord(character):02X} for it, as every special character is written in a URL",
    )


def _cannot(what: str, remedy: str) -> ConfigError:
    return ConfigError(f"the URL asks for {what}, which feefifod cannot do", where=WHERE, remedy=remedy)


def _check_port(host: str) -> None:
    """Raise ValueError when a host's port is none."""
    port = host.rpartition("]")[2] if host.startswith("[") else host
    number = port.partition(":")[2]
    if number and not 0 < int(number) < 65_536:
        raise ValueError(number)


def _read_seconds(text: str | None) -> float | None:
    if not text:
        return None
    if not text.isdecimal():
        raise ConfigError(f"connect_timeout={text} is no number of seconds", where=WHERE)
    return max(float(text), 2.0) if int(text) else None  # As libpq has it: 0 waits as long as it takes, 1 means 2.
