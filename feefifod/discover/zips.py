"""What is in a zip, looked at with distrust: anything that no archive of Kraken has makes it refused as a whole."""

from __future__ import annotations

import json
import stat
import struct
import zipfile
import zlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Final

from feefifod.discover.offsets import mend_offsets
from feefifod.discover.parts import JoinedFile, find_gap, is_part, read_sums, zip_name
from feefifod.discover.scan import Found, open_drop
from feefifod.errors import BadInput
from feefifod.model import FileStamp
from feefifod.parse.line import escape
from feefifod.parse.names import Kind, Verdict, judge
from feefifod.pulse import beat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from feefifod.discover.parts import Part

MOST_MEMBERS: Final = 40_000
"""The complete archive has 12,028 files, and as many notes of macOS."""
MOST_MEMBER_BYTES: Final = 2 * 1024**3
MOST_BYTES: Final = 64 * 1024**3
MOST_RATIO: Final = 100
"""Candles shrink to a third; what shrinks to a hundredth is made to fill disks."""
_FREE_RATIO_BYTES: Final = 1024 * 1024
_MOST_MANIFEST_BYTES: Final = 1024 * 1024
_LONGEST_NAME: Final = 200
_LOCAL_HEADER_BYTES: Final = 30
_ENTRY_BYTES: Final = 46
_END_BYTES: Final = 22
_EXTRA_BYTES: Final = 16
"""How much longer than in the directory the extra field of a folder may be before its own entry (Info-ZIP's times)."""
_MOST_BLANK_BYTES: Final = 64 * 1024
_ENCRYPTED: Final = 0x1 | 0x40
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OTHER_METHODS: Final = {
    1: "Shrink",
    6: "Implode",
    9: "Deflate64, as Windows does above 2 GiB",
    12: "bzip2",
    14: "LZMA",
    20: "zstd",
    93: "zstd",
    95: "XZ",
    98: "PPMd",
}
_AES: Final = 99
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
        raise BadInput(f"it has {_show(doubles[0])} twice")
    if sum(info.file_size for info in infos) > MOST_BYTES:
        raise BadInput(f"it unpacks to more than {MOST_BYTES // 1024**3} GiB")
    _check_overlaps(infos, archive.start_dir)
    wanted: list[tuple[zipfile.ZipInfo, Verdict]] = []
    manifest: zipfile.ZipInfo | None = None
    for info in infos:
        if why := _find_suspicion(info):
            raise BadInput(f"its member {_show(info.orig_filename)} {why[0]}", remedy=why[1])
        # Some tools of Windows separate folders by backslashes; no other name that we take has one.
        info.filename = info.filename.replace("\\", "/")
        if info.is_dir():
            continue
        path = PurePosixPath(info.filename)
        verdict = judge(path)
        if verdict.kind is Kind.ZIP:
            raise BadInput(
                f"it holds another zip, {_show(info.filename)}", remedy="Unpack the outer one, and drop that"
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
            size = _END_BYTES + len(infos) * (_LOCAL_HEADER_BYTES + _ENTRY_BYTES) + 2 * (names + extra)
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


def _find_suspicion(info: zipfile.ZipInfo) -> tuple[str, str] | None:
    """Say what is wrong with a member, and what can be done about it; None when nothing is wrong."""
    name, size, packed = info.orig_filename, info.file_size, info.compress_size
    path = PurePosixPath(name.replace("\\", "/"))
    kind = stat.S_IFMT(info.external_attr >> 16)
    strange = any(ord(letter) < 32 or letter == "\x7f" for letter in name)
    elsewhere = path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive != ""
    by_backslashes = "has a name with backslashes that " if "\\" in name else ""
    again, deflate = "Pack it again without a password", "Pack it again with Deflate, as zip -r or ditto -c -k does"
    suspicions = (
        (not path.parts or strange, "has no name, or one with control characters", ""),
        (elsewhere, f"{by_backslashes}would be unpacked elsewhere", ""),
        (len(path.name.encode()) > _LONGEST_NAME, f"has a name of over {_LONGEST_NAME} bytes", ""),
        (info.flag_bits & _ENCRYPTED, "is encrypted", again),
        (info.compress_type == _AES, f"is encrypted (AES, method {_AES})", again),
        (kind not in {0, stat.S_IFREG, stat.S_IFDIR}, "is a link or a device", ""),
        (info.compress_type not in _METHODS, f"is compressed by {_name_method(info.compress_type)}", deflate),
        (size > MOST_MEMBER_BYTES, f"unpacks to {size} bytes, and {MOST_MEMBER_BYTES} are the most", ""),
        (size > max(_FREE_RATIO_BYTES, packed * MOST_RATIO), f"unpacks to {size} bytes from {packed}", ""),
    )
    return next(((why, remedy) for suspicious, why, remedy in suspicions if suspicious), None)


def _name_method(number: int) -> str:
    named = f"{_OTHER_METHODS[number]} (method {number})" if number in _OTHER_METHODS else f"method {number}"
    return f"{named}, which is not read here"


def _check_overlaps(infos: Sequence[zipfile.ZipInfo], end: int) -> None:
    """Refuse members that share bytes: so a small zip unpacks to a huge one (CVE-2024-0450).

    Raises:
        BadInput: some do, or one lies outside of the zip.
    """
    ordered = sorted(infos, key=lambda info: info.header_offset)
    starts = [*(info.header_offset for info in ordered), end]
    for info, next_start in zip(ordered, starts[1:], strict=True):
        least = _LOCAL_HEADER_BYTES + len(info.orig_filename) + info.compress_size
        if info.header_offset < 0 or info.header_offset + least > next_start:
            raise BadInput(f"its member {_show(info.orig_filename)} overlaps with what comes after it")


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
            f"its member {_show(member.info.filename)} is not as long as it says", remedy="Download it again"
        )


def _show(name: str) -> str:
    return escape(name.encode("utf-8", "surrogateescape"))[:_LONGEST_NAME]
