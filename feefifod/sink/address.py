"""Where a QuestDB is: host, port, TLS, and the path of a proxy before it."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from feefifod.errors import ConfigError

CA_SETTING: Final = "tls_ca in [databases.questdb]"
_PORTS: Final = {"http": 9000, "https": 443}
"""Without a port: QuestDB's own, or what a proxy with TLS has."""


@dataclass(frozen=True, slots=True)
class Address:
    """One server's address, ready to be connected to.

    Attributes:
        url: as it was configured, without a slash at its end.
        host, port: where to connect.
        prefix: the path before QuestDB's own, where a proxy gives it one.
        tls: what certificates are checked with; None without TLS.
    """

    url: str
    host: str
    port: int
    prefix: str
    tls: ssl.SSLContext | None

    def open(self, timeout_seconds: float) -> http.client.HTTPConnection:
        """Return a connection, not yet open."""
        if self.tls is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=timeout_seconds)
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout_seconds, context=self.tls)


def read_address(url: str, tls_ca: str = "") -> Address:
    """Take a URL apart.

    Raises:
        ConfigError: it has another shape, or the file of the authority cannot be used.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in _PORTS or parts.username is not None or parts.password is not None:
        raise ConfigError(
            "the URL of QuestDB is not http://host:port",
            remedy='Set url = "http://host:9000" in [databases.questdb], user and password in keys of their own',
        )
    prefix = parts.path.rstrip("/")
    tls = _trust(tls_ca) if parts.scheme == "https" else None
    return Address(f"{parts.scheme}://{parts.netloc}{prefix}", host, port or _PORTS[parts.scheme], prefix, tls)


def _trust(tls_ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=tls_ca or None)
    except ssl.SSLError:
        why = "it holds no certificate in the format PEM"
    except OSError as error:
        why = f"it cannot be read: {error.strerror}"
    raise ConfigError(
        f"the file of the authority cannot be used: {why}",
        where=f"{CA_SETTING}: {tls_ca}",
        remedy="Name the file with the certificate (PEM) of the authority that signed QuestDB's certificate",
    )
