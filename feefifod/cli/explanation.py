"""Why a file is, or is not, picked up: its name, its place, its condition, and what the ledger knows of it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from feefifod.archive import PACKED_SUFFIX, REASON_SUFFIX
from feefifod.cli.tables import count_rows
from feefifod.discover import Found, Settler, find_closed, is_part, list_parts, look_at, zip_name
from feefifod.errors import BadInput
from feefifod.ingest.candidates import why_unwanted
from feefifod.ingest.closed import REMEDY, show_path
from feefifod.model import FileState, Series
from feefifod.parse.head import inspect_head
from feefifod.parse.header import describe_layout
from feefifod.parse.names import Kind, Verdict, judge
from feefifod.parse.tiers import tier_of

if TYPE_CHECKING:
    from feefifod.catalog import FileRecord
    from feefifod.config import Settings
    from feefifod.model import Tier
    from feefifod.servers import DaemonInfo

_HEAD_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `explain` says of one path.

    Attributes:
        path: as it was given.
        state: of the file in the ledger, or what it will be there first; None when it has none.
        answer: in a few words, what becomes of the file.
        reasons: why.
    """

    path: str
    verdict: Verdict
    tier: Tier | None
    state: FileState | None
    answer: str
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the object of `explain --json`."""
        pair = self.verdict.pair
        return {
            "path": self.path,
            "kind": str(self.verdict.kind),
            "pair": pair.altname if pair else None,
            "base": pair.base if pair else None,
            "ticker": pair.ticker if pair else None,
            "quote": pair.quote if pair else None,
            "interval_minutes": self.verdict.interval_minutes,
            "tier": str(self.tier) if self.tier else None,
            "state": str(self.state) if self.state else None,
            "reason": f"{self.answer}: {'; '.join(self.reasons)}",
        }


class _Where(StrEnum):
    DATA = "data"
    INGESTED = "ingested"
    REJECTED = "rejected"
    ELSEWHERE = "elsewhere"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class _Case:
    """A file to explain: as it was given, where it is, and what its name says."""

    given: str
    path: str
    verdict: Verdict
    tier: Tier | None

    def say(self, answer: str, *reasons: str, state: FileState | None = None) -> Explanation:
        """Put the answer together; the first reason is always what the name says."""
        named = f"{self.verdict.reason}, {self.tier}" if self.tier else self.verdict.reason
        kept = tuple(reason for reason in (named, *reasons) if reason)
        return Explanation(self.given, self.verdict, self.tier, state, answer, kept)


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains files against one configuration.

    Attributes:
        cwd: what given paths are relative to, before the data folder is tried.
        table_id: the table that the ledger is bound to; None when the ledger cannot be asked.
        records: the newest ledger row of each path that `find_ledger_path` names.
        daemon: the living daemon, if any.
    """

    settings: Settings
    cwd: Path
    daemon: DaemonInfo | None = None
    table_id: str | None = None
    records: dict[bytes, FileRecord] = field(default_factory=dict)

    def explain_name(self, given: str) -> Explanation:
        """Judge a file by its name alone; it need not exist."""
        case = self._open_case(given, self._guess(given))
        if case.verdict.kind is Kind.INVALID:
            return case.say("would be refused")
        found = Found(case.path, None, case.verdict, "")
        if reason := why_unwanted(found, self.settings.watch, self.settings.tiers):
            return case.say("would not be picked up", _unless_named(reason, case.verdict))
        return case.say("would be picked up")

    def explain_file(self, given: str) -> Explanation:
        """Say what becomes of a file, or what became of it."""
        case = self._open_case(given, self._find(given))
        record = self.records.get(self.find_ledger_path(given))
        folders = self.settings.paths
        if (closed := self._find_closed(case.path)) is not None:
            folder, reason = closed
            known = _retell(record) if record is not None else ""
            return case.say("is not picked up", f"{show_path(folder)} is passed over: {reason}", known, REMEDY)
        match self._locate(case.path):
            case _Where.DATA:
                return self._explain_drop(case, record)
            case _Where.REJECTED:
                reason = _read_reason(case.path)
                return case.say("was refused", reason, f"It lies in {folders.rejected}", state=FileState.REJECTED)
            case _Where.INGESTED if record is None or not _lies_at(record, case.path):
                return case.say("was ingested", f"It lies in {folders.ingested}, where finished files go")
            case _Where.ELSEWHERE if record is None:
                return case.say("is not picked up", f"It lies outside of the data folder, {folders.data}")
        return self._explain_missing(case) if record is None else self._explain_record(case, record)

    def _find_closed(self, path: str) -> tuple[str, str] | None:
        """Return the folder that hides a path of the data folder from us, and why."""
        data = os.fspath(self.settings.paths.data)
        return find_closed(data, path) if Path(path).is_relative_to(data) else None

    def find_ledger_path(self, given: str) -> bytes:
        """Return the path below the data folder under which the ledger may know a file."""
        path, folders = self._find(given), self.settings.paths
        here = os.path.normpath(self.cwd / given)
        if not os.path.lexists(path) and place_below(here, folders.ingested) is not None:
            path = here  # Where it was; retention may have packed or removed it.
        if is_part(path):
            path = _find_first_part(path)
        if place_below(path, folders.data) is None:
            path = os.fspath(folders.data / self._unpacked_name(path))
        return os.fsencode(self._respell(path))

    def _unpacked_name(self, path: str) -> str:
        """Return the name that a file had before retention packed it."""
        name = Path(path).name
        packed = name.endswith(f".csv{PACKED_SUFFIX}") and place_below(path, self.settings.paths.ingested) is not None
        return name.removesuffix(PACKED_SUFFIX) if packed else name

    def _explain_drop(self, case: _Case, record: FileRecord | None) -> Explanation:
        """Explain what lies in the data folder."""
        try:
            found = look_at(os.fspath(self.settings.paths.data), case.path)
        except OSError as error:
            return case.say("is not picked up", f"it cannot be looked at: {error.strerror}")
        if record is not None and record.state in (FileState.LOADING, FileState.MOVING):
            return self._explain_record(case, record)
        if (obstacle := self._find_obstacle(found)) is not None:
            return case.say("is not picked up", obstacle)
        settlement = Settler(self.settings.watch).judge([found])[case.path]
        earlier = []
        if record is not None and record.state is not FileState.WAITING:
            earlier.append(f"an earlier file of this path {_ANSWERS[record.state]}: {_retell(record)}")
        if not settlement.complete:
            return case.say("is not picked up yet", settlement.reason, *earlier, state=FileState.WAITING)
        header, understood = _read_header(case)
        notes = [header, self._name_daemon(), *earlier]
        if record is not None and record.state is FileState.WAITING:
            notes.insert(0, record.reason)
        refused = case.verdict.kind is Kind.INVALID or not understood
        return case.say("will be refused" if refused else "will be picked up", *notes, state=FileState.WAITING)

    def _find_obstacle(self, found: Found) -> str | None:
        """Say why a file is left alone whether complete or not, "" when its name says it; None when it is wanted."""
        if os.path.isdir(found.path) and not os.path.islink(found.path):  # noqa: PTH112, PTH114 - any bytes are a name
            return "it is a folder; the files in it are judged one by one"
        if reason := why_unwanted(found, self.settings.watch, self.settings.tiers):
            return _unless_named(reason, found.verdict)
        return found.obstacle if found.stamp is None else None

    def _explain_record(self, case: _Case, record: FileRecord) -> Explanation:
        """Explain a file by what the ledger says of it."""
        void = ""
        if record.state is FileState.DONE and record.table_id != self.table_id:
            void = "the table that it was loaded into is gone: dropped again, it is loaded again"
        return case.say(_ANSWERS[record.state], _retell(record), void, state=record.state)

    def _explain_missing(self, case: _Case) -> Explanation:
        """Explain a file that is not there, by what lies in the other folders."""
        name, folders = Path(case.path).name, self.settings.paths
        for place in (folders.rejected / name, folders.ingested / "ohlcv" / name):
            if name and os.path.lexists(place):
                return case.say("is not there", f"a file of this name is {place}", _read_reason(os.fspath(place)))
        return case.say("is not there", f"there is no file {case.path}")

    def _open_case(self, given: str, path: str) -> _Case:
        """Judge the name of a path as seen from the data folder; outside of it only the last part counts."""
        place = place_below(path, self.settings.paths.data)
        verdict = judge(PurePosixPath(self._unpacked_name(path) if place is None else place))
        tier = tier_of(verdict.pair.ticker, self.settings.tiers) if verdict.pair else None
        return _Case(given, self._respell(path), verdict, tier)

    def _find(self, given: str) -> str:
        """Take a path as it is given, else look for it below the data folder."""
        candidates = (os.path.normpath(folder / given) for folder in (self.cwd, self.settings.paths.data))
        return next(filter(os.path.lexists, candidates), self._guess(given))

    def _guess(self, given: str) -> str:
        """Tell where a file would be: below the data folder, unless its path leads elsewhere."""
        here = os.path.normpath(self.cwd / given)
        if place_below(here, self.settings.paths.data) is not None:
            return here
        return os.path.normpath(self.settings.paths.data / given)

    def _respell(self, path: str) -> str:
        """Write a path below the data folder as the scan of that folder writes it."""
        place = place_below(path, self.settings.paths.data)
        return path if place is None else os.fspath(self.settings.paths.data / place)

    def _locate(self, path: str) -> _Where:
        if not os.path.lexists(path):
            return _Where.NOWHERE
        folders = self.settings.paths
        places = ((_Where.DATA, folders.data), (_Where.REJECTED, folders.rejected), (_Where.INGESTED, folders.ingested))
        return next((where for where, folder in places if place_below(path, folder) is not None), _Where.ELSEWHERE)

    def _name_daemon(self) -> str:
        if self.daemon is not None:
            return f"the daemon (pid {self.daemon.pid}) takes it"
        return "no daemon is running: 'feefifod run' takes it, or 'feefifod run-once'"


_ANSWERS = {
    FileState.WAITING: "was waiting, and is not there any more",
    FileState.LOADING: "is being loaded",
    FileState.MOVING: "is decided, and still has to be moved",
    FileState.DONE: "was loaded",
    FileState.REJECTED: "was refused",
    FileState.DUPLICATE: "was not loaded again",
    FileState.EMPTY: "was deleted",
}


def place_below(path: str, folder: Path) -> str | None:
    """Return a path relative to a folder, symbolic links on the way resolved; None when it lies elsewhere."""
    head, name = os.path.split(path)
    place = os.path.relpath(f"{os.path.realpath(head)}/{name}", os.path.realpath(folder))
    return None if place == ".." or place.startswith("../") else place


def _find_first_part(path: str) -> str:
    """Return the path under which the ledger has a split zip: that of its first part, there or not."""
    parts = list_parts(path) if os.path.isdir(os.path.dirname(path)) else []  # noqa: PTH112, PTH120 - any bytes
    if parts:
        return parts[0]
    head, dot, number = path.rpartition(".part")
    return f"{head}{dot}{'0' * len(number)}"


def _lies_at(record: FileRecord, path: str) -> bool:
    """Tell whether a path is where a record's file lies, or a part of it."""
    place = os.fsdecode(record.moved_to or b"")
    return place == path or (is_part(path) and zip_name(place) == zip_name(path))


def _unless_named(reason: str, verdict: Verdict) -> str:
    """Drop a reason that is already what the name says."""
    return "" if reason == verdict.reason else reason


def _read_header(case: _Case) -> tuple[str, bool]:
    """Say how the header of an OHLCVT file is read, "" without one, and whether it is understood."""
    pair, minutes = case.verdict.pair, case.verdict.interval_minutes
    if pair is None or minutes is None:
        return "", True
    try:
        with Path(case.path).open("rb") as file:
            layout = inspect_head(
                file.read(_HEAD_BYTES), Series(pair.ticker, pair.category, pair.quote, minutes)
            ).layout
    except OSError:
        return "", True  # Who loads it may be allowed to read it.
    except BadInput as error:
        return str(error), False
    return ("" if layout is None else describe_layout(layout)), True


def _read_reason(path: str) -> str:
    """Read why a file was refused from the note beside it; "" when there is none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(Path(path + REASON_SUFFIX).read_bytes())["reason"])
    return ""


def _retell(record: FileRecord) -> str:
    """Tell what the ledger knows of a file's end."""
    parts = [record.reason] if record.reason else []
    if record.rows_accepted or record.rows_rejected:
        parts.append(f"{count_rows(record.rows_accepted)} accepted, {record.rows_rejected:,} rejected")
    if record.finished_at is not None:
        parts.append(f"{record.state} at {record.finished_at.isoformat(sep=' ', timespec='seconds')}")
    if record.archived_at is not None:
        parts.append(f"{record.archived} at {record.archived_at.isoformat(sep=' ', timespec='seconds')}")
    if record.moved_to is not None:
        parts.append(f"now {os.fsdecode(record.moved_to)}")
    return ", ".join(parts)
