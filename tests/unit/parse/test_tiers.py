"""Tiers come from the package's lists, tier by tier replaced by the configuration."""

from __future__ import annotations

import pytest

from feefifod.model import Tier
from feefifod.parse.tiers import _shipped_tiers, tier_of


@pytest.mark.parametrize(
    ("ticker", "tier"),
    [
        ("BTC", Tier.TIER1),
        ("WBTC", Tier.TIER1),
        ("UNI", Tier.TIER2),
        ("CAKE", Tier.TIER2),
        ("1INCH", Tier.TIER3),
        ("UMA", Tier.TIER3),
        ("PEPE", Tier.TIER4),
        ("XBT", Tier.TIER4),
        ("EUR", Tier.TIER4),
    ],
)
def test_shipped_lists(ticker: str, tier: Tier) -> None:
    assert tier_of(ticker, {}) is tier


def test_the_shipped_lists_are_whole() -> None:
    tiers = list(_shipped_tiers().values())

    assert [tiers.count(tier) for tier in Tier] == [16, 32, 32, 0]


def test_an_override_replaces_the_list_of_its_tier_only() -> None:
    overrides = {Tier.TIER1: ["PEPE"]}

    assert tier_of("PEPE", overrides) is Tier.TIER1
    assert tier_of("BTC", overrides) is Tier.TIER4
    assert tier_of("UNI", overrides) is Tier.TIER2


def test_an_override_wins_over_the_other_shipped_lists() -> None:
    overrides = {Tier.TIER3: ("BTC",), Tier.TIER4: ("UNI",)}

    assert tier_of("BTC", overrides) is Tier.TIER3
    assert tier_of("UNI", overrides) is Tier.TIER4


def test_an_empty_override_empties_the_tier() -> None:
    assert tier_of("BTC", {Tier.TIER1: ()}) is Tier.TIER4
