"""The default file is the settings classes, written down."""

from __future__ import annotations

import tomllib
from pathlib import Path

from feefifod.config import Settings, load, write_default
from feefifod.model import Tier

ROOT = Path(__file__).resolve().parents[3]


def test_the_file_at_the_root_is_the_generated_one() -> None:
    """To renew it: `feefifod config init --force` at the root."""
    assert (ROOT / "config.toml").read_text() == write_default()


def test_it_says_what_the_classes_say(tmp_path: Path) -> None:
    assert Settings(**tomllib.loads(write_default())) == Settings()


def test_the_commented_examples_are_valid(tmp_path: Path) -> None:
    head, mark, examples = write_default().partition("# One scheduled backfill")
    lines = [line.removeprefix("# ") for line in (mark + examples).splitlines()]
    prose = [line for line in lines if line and not line.startswith("[") and " = " not in line]
    assert len(prose) == 2
    (tmp_path / "config.toml").write_text(head + "\n".join(line for line in lines if line not in prose))
    settings = load(None, {}, tmp_path).settings
    (schedule,) = settings.schedules
    assert (schedule.name, schedule.cron, schedule.grouped, schedule.days) == ("us-daily", "10 5 * * 2-6", True, 5)
    assert settings.tiers == {Tier.TIER1: ("BTC", "ETH")}
