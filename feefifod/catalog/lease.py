"""How long what is claimed stays claimed, on PostgreSQL's clock."""

from __future__ import annotations

from typing import Final

from feefifod.errors import FeefifodError

LEASE_SECONDS: Final = 60.0
"""How long a claim holds without renewal."""

RENEW_SECONDS: Final = LEASE_SECONDS / 3


class LeaseLost(FeefifodError):
    """Someone else has taken over what we had claimed: stop working on it, change nothing."""
