"""What lies in the data folder and is left alone, counted by reason."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from feefifod.config import WatchSettings
from feefifod.discover import Folder, Found
from feefifod.ingest.candidates import why_kind_unwanted
from feefifod.model import Tier
from feefifod.parse.line import escape
from feefifod.parse.names import Kind

_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Ignored:
    """Files that are left alone for one reason; `examples` are a few of their names, below the data folder."""

    reason: str
    files: int
    examples: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return its object in `status --json`."""
        return {"reason": self.reason, "files": self.files, "examples": list(self.examples)}

    def describe(self) -> str:
        """Say it in a line."""
        more = ", ..." if self.files > len(self.examples) else ""
        return f"{self.files:,}: {self.reason} ({', '.join(self.examples)}{more})"


def count_ignored(
    found: Iterable[Found], folder: str, watch: WatchSettings, tiers: Mapping[Tier, Sequence[str]]
) -> list[Ignored]:
    """Count what is left alone in a scan of `folder`, the most frequent reason first."""
    counts: dict[str, int] = {}
    examples: dict[str, list[str]] = {}
    for item in found:
        if not (reason := why_ignored(item, watch, tiers)):
            continue
        counts[reason] = counts.get(reason, 0) + 1
        if len(names := examples.setdefault(reason, [])) < _EXAMPLES:
            names.append(escape(os.fsencode(os.path.relpath(item.path, folder))))
    by_count = sorted(counts, key=lambda reason: (-counts[reason], reason))
    return [Ignored(reason, counts[reason], tuple(examples[reason])) for reason in by_count]


def why_ignored(found: Found, watch: WatchSettings, tiers: Mapping[Tier, Sequence[str]]) -> str:
    """Return why a thing is left alone, in words that are the same for all of its kind; "" when it is not."""
    verdict = found.verdict
    if found.stamp is None and verdict.kind is not Kind.IGNORED:
        return found.obstacle
    return why_kind_unwanted(verdict, watch, tiers)


def list_ignored(folder: Folder) -> list[Ignored]:
    """Return the same of what a daemon knows of its data folder."""
    examples = folder.name_ignored(_EXAMPLES)
    by_count = sorted(folder.ignored.items(), key=lambda item: (-item[1], item[0]))
    names = {
        reason: tuple(escape(os.fsencode(os.path.relpath(path, folder.root))) for path in paths)
        for reason, paths in examples.items()
    }
    return [Ignored(reason, count, names.get(reason, ())) for reason, count in by_count]
