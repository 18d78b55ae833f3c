"""Another try for files that were refused or loaded before: back into the data folder, and in again."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from feefifod.archive import (
    PACKED_SUFFIX,
    REASON_SUFFIX,
    ROWS_SUFFIX,
    copy_times,
    hash_packed,
    move_file,
    rename_exclusive,
    sync_file,
    sync_folders,
    unpack_file,
    unwrap,
)
from feefifod.catalog import Drop
from feefifod.daemon.once import Recorder, look_once
from feefifod.discover import list_parts, open_drop, stamp_of
from feefifod.errors import BadInput, ConfigError, FeefifodError, Refused
from feefifod.ingest.candidates import Selection, show_name
from feefifod.ingest.ingestor import Ingestor
from feefifod.ingest.load import Stopped
from feefifod.ingest.report import FileResult, Summary
from feefifod.model import FileState, Series
from feefifod.parse.names import judge, strip_stamp, strip_wrapping

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from feefifod.catalog.verification import Claims
    from feefifod.config import PathSettings
    from feefifod.ingest.tools import Tools

_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Return:
    """A file on its way back.

    Attributes:
        source: where it lies: refused, or its list of refused rows, or loaded before.
        target: its place in the data folder.
        loaded: it was loaded before.
        packed: retention has packed it.
    """

    source: Path
    target: Path
    loaded: bool
    packed: bool = False

    @property
    def is_rows(self) -> bool:
        """Whether it is a list of refused rows, of which a file is made anew."""
        return self.source.name.endswith(ROWS_SUFFIX)


def plan_return(paths: PathSettings, given: str, cwd: Path) -> Return:
    """Find what a path means: as it stands, else by its name among the refused, then among the loaded files.

    Raises:
        ConfigError: there is no such file, or it is not one that was refused or loaded.
        Refused: a file of its name waits in the data folder, or it is no regular file.
    """
    candidates = [cwd / given]
    if Path(given).name == given:
        candidates += [paths.rejected / given, paths.ingested / "ohlcv" / given]
    candidates += [path.with_name(path.name + PACKED_SUFFIX) for path in candidates]
    source = next((path for path in candidates if os.path.lexists(path)), None)
    if source is None:
        raise ConfigError("there is no such file", where=given, remedy="List the refused ones with: feefifod rejects")
    refused, loaded = _lies_in(source, paths.rejected), _lies_in(source, paths.ingested / "ohlcv")
    if source.name.endswith(REASON_SUFFIX):
        raise ConfigError(
            "this is the note on a refused file", where=given, remedy=f"Name the file: {given[: -len(REASON_SUFFIX)]}"
        )
    if not (refused or loaded):
        raise ConfigError(
            "it was neither refused nor loaded before",
            where=given,
            remedy=f"Name a file in {paths.rejected} or {paths.ingested / 'ohlcv'}; drop others into {paths.data}",
        )
    if not stat.S_ISREG(source.lstat().st_mode):
        raise Refused("it is no regular file", where=given)
    packed = loaded and source.name.endswith(f".csv{PACKED_SUFFIX}")
    whole = source.name.removesuffix(ROWS_SUFFIX)
    if refused and whole != source.name and os.path.lexists(source.with_name(whole)):
        raise ConfigError("its whole file was refused", where=given, remedy=f"Correct and retry {whole} itself")
    name = strip_wrapping(whole) if whole != source.name else source.name
    target = paths.data / strip_stamp(name.removesuffix(PACKED_SUFFIX) if packed else name)
    if os.path.lexists(target):
        raise Refused(
            "a file of this name waits in the data folder already", where=str(target), remedy="Let it be taken in first"
        )
    return Return(source, target, loaded, packed)


def _lies_in(path: Path, folder: Path) -> bool:
    return os.path.realpath(path.parent) == os.path.realpath(folder)


async def check_loaded(claims: Claims, item: Return, table_id: str) -> None:
    """Make sure that loading a file again would not end at once because its content is known.

    Raises:
        ConfigError: it is no OHLCVT file.
        Refused: the content is known.
    """
    drop = _describe(item.source, item.target)
    digest = await to_thread.run_sync(_hash, os.fspath(item.source), item.packed)
    if await claims.is_known(digest, drop.series, table_id):
        raise Refused(
            "the table holds its content already",
            where=str(item.source),
            remedy="Let it win over what is stored with --overwrite, or mend the table with: feefifod verify --repair",
        )


def _hash(path: str, packed: bool) -> bytes:
    with open(open_drop(path), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        if packed:
            return hash_packed(file.fileno())
        return hashlib.file_digest(file, "sha256").digest()


def _describe(source: Path, target: Path) -> Drop:
    """Return the drop that a file will be in its new place.

    Raises:
        ConfigError: its name says that it is no OHLCVT file.
    """
    verdict = judge(PurePath(target.name))
    if verdict.pair is None or verdict.interval_minutes is None:
        raise ConfigError(f"only an OHLCVT file can be loaded again or overwrite: {verdict.reason}", where=str(source))
    pair = verdict.pair
    series = Series(pair.ticker, pair.category, pair.quote, verdict.interval_minutes)
    name, stamp = show_name(os.fspath(target)), stamp_of(source.lstat())
    return Drop(os.fsencode(target), name, stamp, series, wrapping=verdict.wrapping)


async def bring_back(tools: Tools, item: Return, *, overwrite: bool) -> list[Path]:
    """Move a file into the data folder; returns where it is now: in several places for a split zip.

    Raises:
        ConfigError: it cannot overwrite, or is no list of refused rows.
        Unavailable: the data folder cannot be written.
    """
    if overwrite:
        # The ledger knows of the wish before the file can be seen, so that no daemon takes it in without.
        await _mark(tools, _describe(item.source, item.target))
    if item.is_rows:
        await to_thread.run_sync(_rebuild, item.source, item.target)
        moved = [item.target]
    elif item.packed:
        await to_thread.run_sync(_unpack, item.source, item.target)
        moved = [item.target]
    else:
        parts = await to_thread.run_sync(list_parts, os.fspath(item.source))
        names = [item.target.name] if len(parts) == 1 else [Path(part).name for part in parts]
        moved = [await move_file(part, item.target.parent, name) for part, name in zip(parts, names, strict=True)]
    if overwrite:
        # A daemon that looked in between has forgotten a file that was not there yet.
        await _mark(tools, _describe(item.target, item.target))
    await to_thread.run_sync(_tidy, item, moved)
    return moved


async def _mark(tools: Tools, drop: Drop) -> None:
    await tools.patiently(partial(tools.ledger.register, [drop]))
    await tools.patiently(partial(tools.ledger.request_overwrite, [drop.path]))


def _rebuild(source: Path, target: Path) -> None:
    """Make a file of the texts in a list of refused rows; it appears as a whole."""
    partial_path = target.with_name(f".{target.name}.{os.getpid()}.part")
    rows = 0
    try:
        with source.open("rb") as file, partial_path.open("wb") as output:
            for text in unwrap(file.fileno(), ROWS_SUFFIX):
                output.write(text)
                rows += 1
            output.flush()
            sync_file(output.fileno())
        if not rows:
            raise ConfigError("it holds no row", where=str(source))
        rename_exclusive(os.fspath(partial_path), os.fspath(target))
    except BadInput as error:
        raise ConfigError(error.why, where=str(source), remedy=error.remedy) from error
    finally:
        partial_path.unlink(missing_ok=True)


def _unpack(source: Path, target: Path) -> None:
    """Make a file of a packed one; it appears as a whole, with the time of the packed one.

    Raises:
        Refused: the packed file cannot be read.
    """
    partial_path = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(open_drop(os.fspath(source)), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            unpack_file(file.fileno(), partial_path)
            times = os.fstat(file.fileno())
        copy_times(times, partial_path)
        rename_exclusive(os.fspath(partial_path), os.fspath(target))
    except OSError as error:
        raise Refused(f"it cannot be unpacked: {error.strerror or error}", where=str(source)) from error
    finally:
        partial_path.unlink(missing_ok=True)


def _tidy(item: Return, moved: Sequence[Path]) -> None:
    """Remove what speaks of the refusal, once the file is safe in its new place."""
    sync_folders([item.target.parent, item.source.parent])
    if item.is_rows or item.packed:
        item.source.unlink()
    if not item.loaded:
        # The parts of a split zip keep their names; another file may have got its name back.
        parts = [item.source.with_name(place.name) for place in moved] if len(moved) > 1 else []
        for path in {item.source, *parts}:
            for suffix in (REASON_SUFFIX, ROWS_SUFFIX):
                path.with_name(path.name + suffix).unlink(missing_ok=True)


@dataclass(slots=True)
class _Chooser(Ingestor):
    """An ingestor that sees only some files of the data folder, and what is unpacked of zips."""

    chosen: frozenset[bytes] = frozenset()

    async def look(
        self, busy: Collection[str] = (), changed: Collection[str] | None = None, *, lost: bool = False
    ) -> Selection:
        """Look, and leave out what is not chosen."""
        seen = await Ingestor.look(self, busy, changed, lost=lost)
        return Selection(
            [drop for drop in seen.drops if drop.path in self.chosen or drop.membership],
            [refused for refused in seen.refused if refused.path in self.chosen],
            [pair for pair in seen.waiting if os.fsencode(pair[0].path) in self.chosen],
            [found for found in seen.zips if os.fsencode(found.path) in self.chosen],
        )


async def ingest_chosen(tools: Tools, paths: Collection[Path]) -> Summary:
    """Ingest these files of the data folder now, whatever tiers and intervals are watched, and nothing else there."""
    recorder = Recorder(tools.listener)
    summary = recorder.summary
    watch = tools.watch.model_copy(update={"tiers": ("ALL",), "intervals": ()})
    chooser = _Chooser(replace(tools, listener=recorder, watch=watch), chosen=frozenset(map(os.fsencode, paths)))
    trouble = ""
    for attempt in range(_ROUNDS):
        selection = await look_once(chooser)
        if tools.stop.is_set() or not (selection.drops or selection.refused or selection.zips):
            break
        try:
            await _ingest(chooser, selection)
            trouble = ""
        except Stopped:
            break
        except FeefifodError as error:
            trouble = str(error)
            await anyio.sleep(0.3 * 2**attempt)
    summary.troubles += [trouble] if trouble else []
    left = await chooser.look()
    names = [drop.name for drop in left.drops if drop.path not in summary.stuck]
    names += [show_name(found.path) for found in left.zips if os.fsencode(found.path) not in summary.stuck]
    reasons = [
        (name, trouble or "it waits for another file of its series, or another process has it") for name in names
    ]
    reasons += [(show_name(found.path), settlement.reason) for found, settlement in left.waiting]
    summary.results += [FileResult(name, FileState.WAITING, reason=reason) for name, reason in reasons]
    return summary


async def _ingest(chooser: _Chooser, selection: Selection) -> None:
    await chooser.refuse(selection)
    if any([await chooser.advance(found) for found in selection.zips]):
        selection = await chooser.look()
    if selection.drops and (claim := await chooser.claim(selection.drops, orphans=False)):
        await chooser.run_batch(claim)
