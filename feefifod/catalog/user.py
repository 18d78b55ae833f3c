"""Whom PostgreSQL knows us as where its URL does not say so."""

from __future__ import annotations

import os
import pwd
from urllib.parse import parse_qs, urlsplit

from feefifod.errors import ConfigError


def choose_user(dsn: str) -> str | None:
    """Name the user that runs this, as every program of PostgreSQL does; None when the URL names one.

    Not what `LOGNAME` and the like say, which the driver would believe.

    Raises:
        ConfigError: this user has no name.
    """
    parts = urlsplit(dsn)
    asked = parse_qs(parts.query)
    if parts.netloc.rpartition("@")[0].partition(":")[0] or "user" in asked or "service" in asked:
        return None
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise ConfigError(
            f"the URL names no user, and user id {os.geteuid()} of this machine has no name",
            where="postgres.url",
            remedy="Set it to postgresql://USER@HOST/DATABASE",
        ) from None
