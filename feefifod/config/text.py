"""Values from text, as the environment and the command line give them: pydantic-settings' reading, plus commas."""

from __future__ import annotations

from typing import Any, cast

from pydantic_settings import BaseSettings, EnvSettingsSource

from feefifod.config.settings import Settings

_SEPARATOR = "\x1f"
"""Between the parts of a path: cannot occur in a name of the environment or of TOML."""


class TextSource(EnvSettingsSource):
    """The reading of one key's text into nested values; calling it gives them."""

    def __init__(self, path: tuple[str, ...], text: str) -> None:
        # The source only reads fields and model_config, which every pydantic model has. `Settings` is a plain model
        # because commands without variables should not wait for pydantic-settings to be imported.
        model = cast("type[BaseSettings]", Settings)
        super().__init__(model, case_sensitive=True, env_prefix="", env_nested_delimiter=_SEPARATOR)
        self.env_vars = {_SEPARATOR.join(path): text}

    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:
        """Read JSON, or a list written with commas."""
        if not str(value).lstrip().startswith(("[", "{")):
            return [item.strip() for item in str(value).split(",") if item.strip()]
        return super().decode_complex_value(field_name, field, value)
