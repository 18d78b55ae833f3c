"""The folder that everything embedded lives in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feefifod.errors import Refused


def prepare_state(state: Path) -> Path:
    """Make the state folder and `servers/` in it, open to nobody else, and return its real path.

    Raises:
        Refused: it cannot be made or entered, or root was asked to work in another user's state.
    """
    # Root's own state may be passed through (not listed) by the unprivileged user that PostgreSQL runs as.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        state.parent.mkdir(parents=True, exist_ok=True)
        state.mkdir(mode=mode, exist_ok=True)
        real = state.resolve(strict=True)
        owner = real.stat().st_uid
        if os.geteuid() == 0 and owner != 0:
            # Files of root in it would lock its owner out, and PostgreSQL would change hands.
            raise Refused(
                f"the state folder belongs to user id {owner}, and servers of root would spoil it",
                where=str(state),
                remedy="Run the command as that user, or set paths.state to another folder",
            )
        (real / "servers").mkdir(mode=0o700, exist_ok=True)
        (real / "servers" / "users").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Refused(
            f"the state folder cannot be used: {error.strerror}",
            where=str(error.filename or state),
            remedy="Run as the user that owns it, or set paths.state to a folder that you can write to",
        ) from error
    return real


@contextmanager
def explain_closed(state: Path) -> Iterator[None]:
    """Turn the permission error of a look into another user's state into a refusal."""
    try:
        yield
    except PermissionError as error:
        raise Refused(
            "the state folder is closed to you", where=str(state), remedy="Run as the user that owns it"
        ) from error
