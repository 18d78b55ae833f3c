"""Logging: JSON lines for journald, colours for people, and no secret in either."""

from feefifod.log.redaction import escape_controls, redact, register_secret
from feefifod.log.setup import configure, is_configured, set_level

__all__ = ["configure", "escape_controls", "is_configured", "redact", "register_secret", "set_level"]
