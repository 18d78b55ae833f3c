"""What lies in the data folder, for `status`: from what the daemon knows, or by listing it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from feefifod.config import Settings
from feefifod.discover import Folder, Siblings, scan
from feefifod.errors import Refused
from feefifod.ingest.candidates import show_name, why_unwanted
from feefifod.ingest.closed import show_path
from feefifod.ingest.ignored import count_ignored, list_ignored

_MOST_NAMED: Final = 20


@dataclass(slots=True)
class DataLook:
    """What lies in the data folder; `wanted` are the files to be ingested, complete or not, None when it is away."""

    wanted: int | None = None
    error: str | None = None
    ignored: list[dict[str, Any]] = field(default_factory=list)
    unreadable: list[dict[str, Any]] = field(default_factory=list)
    downloads: list[dict[str, Any]] = field(default_factory=list)


def look_at_data(settings: Settings, known: Folder | None) -> DataLook:
    """Look. Blocking; meant for a worker thread.

    Args:
        known: what this process knows of the folder, if it watches it.
    """
    if known is not None and known.trouble:
        return DataLook(error=known.trouble)
    if known is not None and known.identity is not None:
        return DataLook(
            known.wanted,
            None,
            [group.to_json() for group in list_ignored(known)],
            _list_closed(known.closed),
            [{"name": show_name(path), "reason": reason} for path, reason in known.name_downloads(_MOST_NAMED)],
        )
    root, closed = str(settings.paths.data), dict[str, str]()
    try:
        found = scan(root, closed)
    except Refused as error:
        return DataLook(error=str(error))
    wanted = [item for item in found if item.stamp and not why_unwanted(item, settings.watch, settings.tiers)]
    siblings = Siblings(time.time)
    held = ((item, siblings.find(item)) for item in wanted)
    downloads = ({"name": show_name(item.path), "reason": sibling.reason} for item, sibling in held if sibling)
    return DataLook(
        len(wanted),
        None,
        [group.to_json() for group in count_ignored(found, root, settings.watch, settings.tiers)],
        _list_closed(closed),
        list(islice(downloads, _MOST_NAMED)),
    )


def _list_closed(closed: dict[str, str]) -> list[dict[str, Any]]:
    return [{"path": show_path(path), "reason": reason} for path, reason in sorted(closed.items())]
