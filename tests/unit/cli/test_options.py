"""What the shared options are read into."""

from __future__ import annotations

import logging
from pathlib import Path

import click
import pytest
import structlog

from feefifod import log
from feefifod.cli.options import load_settings, start_logging
from feefifod.config import load
from feefifod.log import redaction, setup


def test_settings_are_those_of_the_named_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text("pipeline.workers = 7\n")
    context = click.Context(click.Command("x"), obj=Path("a.toml"))
    assert load_settings(click.Context(click.Command("y"), parent=context)).settings.pipeline.workers == 7


def test_logging_keeps_every_configured_secret_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(redaction, "_known", set())
    monkeypatch.setenv("MASSIVE_API_KEY", "massive-secret")
    monkeypatch.setenv("FINNHUB_API_KEY", "")
    environ = {
        "FEEFIFOD__POSTGRES__URL": "postgresql://me:pg-secret@h/d",
        "FEEFIFOD__DATABASES__QUESTDB__PASSWORD": "questdb-secret",
    }
    root_level = logging.getLogger().level
    try:
        start_logging(load(None, environ, tmp_path))
        structlog.get_logger("feefifod.x").info("massive-secret pg-secret questdb-secret said aloud")
    finally:
        logging.getLogger().removeHandler(setup._handler or logging.NullHandler())
        setup._handler = None
        logging.getLogger().setLevel(root_level)
        structlog.reset_defaults()
    assert "[redacted] [redacted] [redacted] said aloud" in capsys.readouterr().err
    assert log.redact("harmless") == "harmless"
