"""What is in a zip, looked at with distrust: anything that no archive of Kraken has makes it refused as a whole."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from feefifod.discover.offsets import mend_offsets
from feefifod.discover.parts import JoinedFile, find_gap, is_part, read_sums, zip_name
from feefifod.discover.scan import Found, open_drop
from feefifod.discover.suspicion import LOCAL_HEADER_BYTES, check_overlaps, find_suspicion, show_member
from feefifod.errors import BadInput
from feefifod.model import FileStamp
from feefifod.parse.names import Kind, Verdict, judge
from feefifod.pulse import beat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from feefifod.discover.parts import Part

MOST_MEMBERS: Final = 40_000
"""The complete archive has 12,028 files, and as many notes of macOS."""
MOST_BYTES: Final = 64 * 1024**3
_MOST_MANIFEST_BYTES: Final = 1024 * 1024
_ENTRY_BYTES: Final = 46
_END_BYTES: Final = 22
_EXTRA_BYTES: Final = 16
"""How much longer than in the directory the extra field of a folder may be before its own entry (Info-ZIP's times)."""
_MOST_BLANK_BYTES: Final = 64 * 1024
_PIECE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Member:
    """An OHLCVT file in a zip, or one whose name tries to be.

    Attributes:
        place: its path when it is unpacked: its last name, in a folder of its own where others have that name too.
    """

    info: zipfile.ZipInfo
    place: str
    verdict: Verdict

    @property
    def size(self) -> int:
        """Its bytes when it is unpacked."""
        return self.info.file_size


@dataclass(frozen=True, slots=True)
class Manifest:
    """What Kraken's MANIFEST.json says of the whole release; None where it says nothing."""

    files: int | None
    rows: int | None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a zip holds for us."""

    members: tuple[Member, ...]
    manifest: Manifest | None


def find_missing_part(parts: Sequence[Part]) -> str:
    """Return what a split zip is still waiting for, "" when nothing.

    Raises:
        OSError: a part cannot be read.
    """
    first = PurePosixPath(parts[0].path)
    if not is_part(first.name):
        return ""
    if gap := find_gap(parts):
        return gap
    here = {PurePosixPath(part.path).name for part in parts}
    zip_ = zip_name(first.name)
    listed = {name for name in read_sums(str(first.parent), open_drop) if is_part(name) and zip_name(name) == zip_}
    if missing := sorted(listed - here):
        return f"{missing[0]} is missing, which is in the list of checksums; waiting for it"
    if not listed >= here and not has_directory(parts):
        return "a part is missing, or the last one is damaged: there is no central directory at its end"
    return ""


def has_directory(parts: Sequence[Part]) -> bool:
    """Tell whether a zip ends as a zip does.

    Raises:
        OSError: it cannot be read.
    """
    with join_parts(parts) as file:
        try:
            found = zipfile.is_zipfile(file)
        except (BadInput, struct.error):
            found = False
        if file.failure is not None:
            raise file.failure
        return found


def join_parts(parts: Sequence[Part]) -> JoinedFile:
    """Open the parts of a zip as one file.

    Raises:
        FileNotFoundError: a part is gone or has changed.
    """
    fds: list[int] = []
    try:
        for part in parts:
            fds.append(open_drop(part.path, part.stamp))  # noqa: PERF401 - those opened so far must be closed
    except OSError:
        JoinedFile(fds).close()
        raise
    return JoinedFile(fds)


@contextmanager
def open_zip(parts: Sequence[Part]) -> Iterator[zipfile.ZipFile]:
    """Open a zip, whole or split; every part must be as it was found.

    Raises:
        FileNotFoundError: a part is gone or has changed. OSError: it cannot be read.
        BadInput: its central directory cannot be read.
    """
    with join_parts(parts) as file:
        try:
            with naming_damage():
                archive = zipfile.ZipFile(file)
        except BadInput:
            if file.failure is not None:
                raise file.failure from None
            raise
        with archive:
            mend_offsets(archive)
            yield archive


@contextmanager
def naming_damage() -> Iterator[None]:
    """Turn what the zip library raises over bad bytes into a refusal."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        OverflowError,
        RuntimeError,
        ValueError,
        struct.error,
    ) as error:
        raise BadInput(f"it is damaged: {error}", remedy="Download it again") from error


def read_contents(archive: zipfile.ZipFile) -> Contents:
    """Look through a central directory. Blocking: up to a second.

    Raises:
        BadInput: it holds something suspicious, or nothing that is an OHLCVT file.
    """
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        raise BadInput(f"it has {len(infos)} members, and {MOST_MEMBERS} are the most")
    doubles = [name for name, count in Counter(info.orig_filename for info in infos).items() if count > 1]
    if doubles:
        raise BadInput(f"it has {show_member(doubles[0])} twice")
    if sum(info.file_size for info in infos) > MOST_BYTES:
        raise BadInput(f"it unpacks to more than {MOST_BYTES // 1024**3} GiB")
    check_overlaps(infos, archive.start_dir)
    wanted: list[tuple[zipfile.ZipInfo, Verdict]] = []
    manifest: zipfile.ZipInfo | None = None
    for info in infos:
        if why := find_suspicion(info):
            raise BadInput(f"its member {show_member(info.orig_filename)} {why[0]}", remedy=why[1])
        # Some tools of Windows separate folders by backslashes; no other name that we take has one.
        info.filename = info.filename.replace("\\", "/")
        if info.is_dir():
            continue
        path = PurePosixPath(info.filename)
        verdict = judge(path)
        if verdict.kind is Kind.ZIP:
            raise BadInput(
                f"it holds another zip, {show_member(info.filename)}", remedy="Unpack the outer one, and drop that"
            )
        if verdict.kind is not Kind.IGNORED:
            wanted.append((info, verdict))
        elif path.name == "MANIFEST.json" and "__MACOSX" not in path.parts:
            manifest = info
    if not any(verdict.kind is Kind.OHLCVT for _, verdict in wanted):
        raise BadInput("nothing in it is an OHLCVT file, such as XBTUSD_60.csv")
    return Contents(_place(wanted), _read_manifest(archive, manifest) if manifest else None)


def is_blank(parts: Sequence[Part]) -> bool:
    """Tell whether a zip that ends as one holds no data at all: no file is in it, and nothing else is around.

    Raises:
        OSError: it cannot be read.
    """
    if len(parts) > 1 or is_part(parts[0].path) or parts[0].stamp.size > _MOST_BLANK_BYTES:
        return False
    if parts[0].stamp.size == 0:
        return True
    try:
        with open_zip(parts) as archive:
            infos = archive.infolist()
            folders = all(info.is_dir() and not info.file_size and not info.compress_size for info in infos)
            # What its entries account for; more is something that is hidden in it, and none of ours to remove.
            names = sum(len(info.orig_filename.encode()) for info in infos)
            extra = sum(len(info.extra) for info in infos)
            size = _END_BYTES + len(infos) * (LOCAL_HEADER_BYTES + _ENTRY_BYTES) + 2 * (names + extra)
            return folders and not archive.comment and parts[0].stamp.size <= size + len(infos) * _EXTRA_BYTES
    except BadInput:
        return False


def list_members(found: Found) -> list[Found]:
    """Return the OHLCVT files in a zip as if they lay beside it, by reading its central directory only.

    Raises:
        BadInput: the zip will be refused. OSError: it cannot be read now.
    """
    with open_zip(found.parts) as archive:
        members = read_contents(archive).members
    return [
        Found(f"{found.path}/{member.info.filename}", FileStamp(0, 0, member.size, 0, 0), member.verdict, "")
        for member in members
    ]


def _place(wanted: Sequence[tuple[zipfile.ZipInfo, Verdict]]) -> tuple[Member, ...]:
    seen: Counter[str] = Counter()
    members = []
    for info, verdict in sorted(wanted, key=lambda item: item[0].filename):
        name = PurePosixPath(info.filename).name
        seen[name] += 1
        members.append(Member(info, name if seen[name] == 1 else f"{seen[name]}/{name}", verdict))
    return tuple(members)


def _read_manifest(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Manifest:
    if info.file_size > _MOST_MANIFEST_BYTES:
        return Manifest(None, None)
    with naming_damage():
        content = archive.read(info)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return Manifest(None, None)
    facts: dict[str, Any] = document if isinstance(document, dict) else {}
    files, rows = (value if isinstance(value := facts.get(key), int) else None for key in ("files", "rows"))
    return Manifest(files, rows)


def copy_member(archive: zipfile.ZipFile, member: Member, target: Path) -> None:
    """Unpack one member to a new file, never more than its size says. Blocking.

    Raises:
        BadInput: it is damaged, or not as long as it says.
        OSError: it cannot be written.
    """
    left = member.size
    with target.open("xb") as output:
        with naming_damage():
            source = archive.open(member.info)
        with source:
            while True:
                with naming_damage():
                    piece = source.read(_PIECE_BYTES)
                if not piece:
                    break
                left -= len(piece)
                if left < 0:
                    break
                output.write(piece)
                beat()
    if left:
        raise BadInput(
            f"its member {show_member(member.info.filename)} is not as long as it says", remedy="Download it again"
        )
