"""Reading a window: pieces of many files become a few large arrays, in few thread hops."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final

import numpy as np

from feefifod.model import Candles
from feefifod.parse.columns import count_lines, count_odd, is_strictly_increasing, parse_fast, times_are_regular
from feefifod.sweep.run import ArrowRun, CsvRun, FileChanged, Irregular

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feefifod.errors import FeefifodError
    from feefifod.sweep.run import Run, SweepFile

_GROUP_BYTES: Final = 1024 * 1024
_SMALL_BYTES: Final = 128 * 1024


@dataclass(slots=True)
class Part:
    """Rows of some files of one window.

    Attributes:
        pieces: files in the order of their rows, with the number of rows of each.
        candles: the rows of all pieces, one after the other.
        withdrawn: files that cannot take part any more, with the reason.
        odd: rows that are usable but odd, by file id.
    """

    pieces: list[tuple[Run, int]] = field(default_factory=list)
    candles: list[Candles] = field(default_factory=list)
    withdrawn: list[tuple[SweepFile, FeefifodError]] = field(default_factory=list)
    odd: dict[int, int] = field(default_factory=dict)
    bytes: int = 0


def read_part(runs: Sequence[Run], start_seconds: int, until_seconds: int) -> Part:
    """Take the rows of [start, until) from these runs. Blocking; meant for a worker thread."""
    part = Part()
    group: list[tuple[CsvRun, bytes]] = []
    group_bytes = 0
    for run in runs:
        try:
            if isinstance(run, ArrowRun):
                _keep(part, [(run, 0)], run.take_rows(until_seconds))
                continue
            assert isinstance(run, CsvRun)  # noqa: S101 - there are two kinds of runs, and mypy is told so
            data = run.take(until_seconds)
        except (Irregular, FileChanged) as error:
            part.withdrawn.append((run.file, error))
            continue
        part.bytes += len(data)
        if len(data) >= _SMALL_BYTES:
            _parse(part, [(run, data)], start_seconds, until_seconds)
            continue
        if group and (group_bytes + len(data) > _GROUP_BYTES or group[0][0].file.fields != run.file.fields):
            _parse(part, group, start_seconds, until_seconds)
            group, group_bytes = [], 0
        group.append((run, data))
        group_bytes += len(data)
    if group:
        _parse(part, group, start_seconds, until_seconds)
    return part


def _parse(part: Part, group: list[tuple[CsvRun, bytes]], start_seconds: int, until_seconds: int) -> None:
    """Parse the pieces of several files with one call; a group that is not perfect is parsed file by file."""
    data = group[0][1] if len(group) == 1 else b"".join(data for _, data in group)
    candles = parse_fast(data, group[0][0].file.fields)
    counts = (
        np.array([len(candles) if candles else 0])
        if len(group) == 1
        else np.array([count_lines(data) for _, data in group])
    )
    if candles is not None and _in_order(candles, group, counts, start_seconds, until_seconds):
        _keep(part, [(run, int(count)) for (run, _), count in zip(group, counts, strict=True)], candles)
    elif len(group) == 1:
        reason = Irregular("it has rows that are bad, repeated or not in the order of time")
        part.withdrawn.append((group[0][0].file, reason))
    else:
        for member in group:
            _parse(part, [member], start_seconds, until_seconds)


def _in_order(
    candles: Candles,
    group: list[tuple[CsvRun, bytes]],
    counts: np.ndarray,
    start_seconds: int,
    until_seconds: int,
) -> bool:
    times = candles.time_seconds
    if len(times) != int(counts.sum()) or not len(times):
        return False
    intervals = [run.file.interval_minutes for run, _ in group]
    interval = intervals[0] if len(set(intervals)) == 1 else np.repeat(np.array(intervals, np.int64), counts)
    if not times_are_regular(times, interval, start_seconds, until_seconds - 1):
        return False
    if len(group) == 1:
        return is_strictly_increasing(times)
    steps = np.diff(times) > 0
    steps[np.cumsum(counts)[:-1] - 1] = True
    return bool(steps.all())


def _keep(part: Part, pieces: list[tuple[Run, int]], candles: Candles) -> None:
    if len(pieces) == 1:
        pieces = [(pieces[0][0], len(candles))]
    part.pieces += pieces
    part.candles.append(candles)
    if count_odd(candles):
        start = 0
        for run, count in pieces:
            found = count_odd(_cut(candles, start, start + count))
            if found:
                part.odd[run.file.id] = part.odd.get(run.file.id, 0) + found
            start += count


def _cut(candles: Candles, start: int, end: int) -> Candles:
    return Candles(*(getattr(candles, column.name)[start:end] for column in fields(candles)))
