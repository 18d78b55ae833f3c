"""PostgreSQL's tools for a user without a name: containers often run as a number that no passwd file knows.

initdb and the single-user server ask for the name of their user, do nothing of account with it, and refuse to work
without one; the running server does not ask. For their moment, copies of the two ask for the first name in the passwd
file instead: the name of the function that they import from the C library is exchanged for one of the same length.
"""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from feefifod.errors import ConfigError

_ASKED: Final = b"\0getpwuid\0"
_ASKED_INSTEAD: Final = b"\0getpwent\0"
_TOOLS: Final = ("initdb", "postgres")


@contextmanager
def tools_for_us(programs: Path, folder: Path) -> Iterator[Path]:
    """Lend the folder with PostgreSQL's programs, or copies in `folder` that do not ask for our name if we have none.

    Raises:
        ConfigError: we have no name, and there is no way around it.
    """
    if _has_name():
        yield programs
        return
    with tempfile.TemporaryDirectory(prefix="new-", dir=folder) as place:
        # The programs find their libraries and their templates from where they lie.
        package = Path(place) / "package" / programs.parent.name
        bin_folder = package / "bin"
        bin_folder.mkdir(parents=True)
        for name in ("lib", "share"):
            (package / name).symlink_to(programs.parent / name)
        libraries = programs.parents[1].with_name(f"{programs.parents[1].name}.libs")
        (Path(place) / libraries.name).symlink_to(libraries)
        for name in _TOOLS:
            _copy_nameless(programs / name, bin_folder / name)
        yield bin_folder


def _has_name() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def _copy_nameless(source: Path, target: Path) -> None:
    content = source.read_bytes()
    if content.count(_ASKED) != 1 or not pwd.getpwall():
        raise ConfigError(
            f"user id {os.geteuid()} has no name on this machine, and PostgreSQL's data cannot be made without one",
            where="postgres.url = embedded",
            remedy="Give it one (a line in /etc/passwd; in a container, --user with an id that the image knows),"
            " or set postgres.url to a server of your own",
        )
    target.write_bytes(content.replace(_ASKED, _ASKED_INSTEAD))
    shutil.copymode(source, target)
