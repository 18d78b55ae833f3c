"""Which tier an asset belongs to."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from feefifod.model import Tier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def tier_of(ticker: str, overrides: Mapping[Tier, Sequence[str]]) -> Tier:
    """Tell the tier of a common ticker (`BTC`, not `XBT`).

    Args:
        overrides: lists that replace the package's own ones, tier by tier. A ticker that they name belongs where they
            say, whatever the package's other lists say.
    """
    for tier, tickers in overrides.items():
        if ticker in tickers:
            return tier
    tier = _shipped_tiers().get(ticker, Tier.TIER4)
    return Tier.TIER4 if tier in overrides else tier


@cache
def _shipped_tiers() -> dict[str, Tier]:
    text = (resources.files(__package__) / "tiers.toml").read_text(encoding="utf-8")
    return {ticker: Tier(name) for name, tickers in tomllib.loads(text).items() for ticker in tickers}
