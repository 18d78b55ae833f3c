"""API keys as people and their tools write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from feefifod.errors import ConfigError
from feefifod.model import Source
from feefifod.sources.keys import read_key


@pytest.mark.parametrize("text", ["abc123", " abc123\n", '"abc123"', "'abc123'", '" abc123 "\n'])
def test_quotes_and_blanks_around_a_key_are_none_of_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "massive_api_key").write_text(text)

    assert read_key(Source.MASSIVE, {"MASSIVE_API_KEY": text}).get_secret_value() == "abc123"
    assert read_key(Source.MASSIVE, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).get_secret_value() == "abc123"


@pytest.mark.parametrize("text", ["", '""', "''", "ab c", "schlüssel"])
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_key(Source.MASSIVE, {"MASSIVE_API_KEY": text})
    assert len(text) < 3 or text not in str(caught.value)
