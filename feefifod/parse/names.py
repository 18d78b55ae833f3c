"""Judging a file by its name alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from feefifod.errors import BadInput
from feefifod.model import INTERVALS, Pair
from feefifod.parse.pair import split_pair

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import PurePath


class Kind(StrEnum):
    """What a name promises."""

    OHLCVT = "ohlcvt"
    ZIP = "zip"
    IGNORED = "ignored"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a name means.

    Attributes:
        pair, interval_minutes: of an OHLCVT file, else None.
        reason: why, in words for the person who dropped the file.
        wrapping: what is around the candles of an OHLCVT file, from the inside out: "", or suffixes that we give.
    """

    kind: Kind
    pair: Pair | None
    interval_minutes: int | None
    reason: str
    wrapping: str = ""


_MINUTES: Final = {str(minutes): minutes for minutes in INTERVALS}
_LISTED: Final = ", ".join(_MINUTES)

PACKED_SUFFIX: Final = ".zst"
"""What retention gives to a finished file when it compresses it."""
ROWS_SUFFIX: Final = ".rows.csv"
"""Beside a file of that name: its refused rows."""
REASON_SUFFIX: Final = ".reason.json"
"""Beside a refused file of that name: why it was refused."""

_STAMP: Final = r"(?:\.[0-9]{8}T[0-9]{6}\.[0-9]{6}Z(?:-[0-9]{1,4})?)+"
"""What a name that was taken gets before its ending, see `archive.move`; again when that name was taken, too."""

# Every character and the digits of every script, so that a hostile name is still seen as what it imitates.
_OHLCVT: Final = re.compile(
    rf"(?P<stem>.+)_(?P<minutes>\d+)(?:{_STAMP})?\.csv(?P<wrapping>(?:(?:\.zst)?\.rows\.csv)*(?:\.zst)?)", re.DOTALL
)
_ZIP: Final = re.compile(r".+\.zip(?P<part>\.part[0-9]+)?", re.DOTALL)
OTHER_ARCHIVE: Final = "packed as"
"""How the reason begins why an archive is ignored that is no zip."""
_EXPECTED: Final = "expected PAIR_MINUTES.csv"
_ARCHIVE: Final = re.compile(
    r"\.(7z|7z\.[0-9]{3}|rar|part[0-9]+\.rar|r[0-9]{2}|zipx|z[0-9]{2}|arj|cab|lha|lzh|ace|cpio"
    r"|tar|(?:tar\.)?(?:gz|bz2|xz|z|lz|lz4|lzma|lzo|br|sz|zst)|tgz|tbz2?|txz|tlz|tzst|taz)$"
)
_STAMPED: Final = re.compile(rf"(?P<stem>.+?){_STAMP}(?P<ending>(?:\.csv|\.zip)(?:\..+)?)?", re.DOTALL)
_DOWNLOAD_FOLDER: Final = re.compile(r".+\.(?:csv|zip|zst)\.download", re.DOTALL | re.IGNORECASE)
_PRINTABLE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_ENDING: Final = re.compile(r"(?:\.csv|\.zip)(?:\..+)?$", re.DOTALL)

# Browsers; aria2, axel, lftp, wget2, WinSCP, rclone; download managers; BitTorrent; synchronisers.
_TEMPORARY: Final = (
    *(".part", ".partial", ".crdownload", ".download", ".opdownload"),
    *(".aria2", ".aria2__temp", ".st", ".lftp-pget-status", ".filepart", ".tmp", ".temp", "~"),
    *(".dtapart", ".fdmdownload", ".dwnldtmp", ".getright", ".jc!", ".dap", ".ytdl"),
    *(".!ut", ".ut!", ".!qb", ".bc!", ".!bt", ".!sync", ".bts"),
)


def judge(path: PurePath) -> Verdict:
    """Judge a path, relative to the data folder, by its name; nothing is opened.

    Any name gets a verdict, undecodable bytes and control characters included.
    """
    *folders, name = path.parts or ("",)
    reason = _find_ignored_place(folders, name)
    if reason:
        return _ignored(reason)
    stripped = name.strip()
    ohlcvt = _OHLCVT.fullmatch(stripped)
    archive = _ZIP.fullmatch(stripped)
    if not ohlcvt and not archive:
        return _ignored(_explain_other(name))
    reason = _find_bad_characters(path)
    if reason:
        return _invalid(reason)
    if ohlcvt:
        return _judge_ohlcvt(ohlcvt["stem"], ohlcvt["minutes"], ohlcvt["wrapping"])
    split = archive is not None and archive["part"] is not None
    return Verdict(Kind.ZIP, None, None, "a part of a split zip" if split else "its members are judged one by one")


def strip_stamp(name: str) -> str:
    """Return a name without the times that were put into it because it was taken."""
    stamped = _STAMPED.fullmatch(name)
    return stamped["stem"] + (stamped["ending"] or "") if stamped else name


def split_stamp(name: str) -> tuple[str, str]:
    """Return a name without such times, cut where one is put in: before its ending."""
    plain = strip_stamp(name)
    ending = _ENDING.search(plain)
    return (plain[: ending.start()], ending[0]) if ending else (plain, "")


def strip_wrapping(name: str) -> str:
    """Return the name of what is inside of an OHLCVT file; the name itself when nothing is around it."""
    ohlcvt = _OHLCVT.fullmatch(name)
    return name.removesuffix(ohlcvt["wrapping"]) if ohlcvt else name


def _judge_ohlcvt(stem: str, minutes_text: str, wrapping: str) -> Verdict:
    try:
        pair = split_pair(stem)
    except BadInput as error:
        return _invalid(error.why)
    minutes = _MINUTES.get(minutes_text)
    if minutes is None:
        shown = minutes_text if len(minutes_text) <= 12 else f"{minutes_text[:12]}..."
        return _invalid(f"there is no interval of {shown} minutes; Kraken's are {_LISTED}")
    what = f"candles of {minutes} min, {pair.ticker} in {pair.quote}"
    # A list of refused rows holds them as they are inside of what it was made of.
    wrapping = wrapping[max(wrapping.rfind(ROWS_SUFFIX), 0) :]
    if wrapping.startswith(ROWS_SUFFIX):
        what = f"refused rows, whose texts are taken in again: {what}"
    return Verdict(Kind.OHLCVT, pair, minutes, f"compressed {what}" if PACKED_SUFFIX in wrapping else what, wrapping)


def _find_ignored_place(folders: Sequence[str], name: str) -> str:
    """Say why a name is never looked at, whatever it promises; empty when nothing is against it."""
    if name == "__MACOSX" or "__MACOSX" in folders:
        return "macOS packs its own notes into __MACOSX; they hold no candles"
    if name.startswith("._"):
        return "a note of macOS beside the real file; it holds no candles"
    if name.startswith("."):
        return "a hidden file, or one that is still being copied"
    if is_temporary(name):
        return "a temporary name: still being copied or downloaded"
    return next(filter(None, map(_find_ignored_folder, folders)), "")


def _find_ignored_folder(name: str) -> str:
    if name.startswith("."):
        return "in a hidden folder"
    return "in a folder that a browser makes while it downloads" if _DOWNLOAD_FOLDER.fullmatch(name) else ""


def is_temporary(name: str) -> bool:
    """Tell whether a name is one that programs give while they copy or download."""
    return name.lower().endswith(_TEMPORARY)


def _find_bad_characters(path: PurePath) -> str:
    if not _PRINTABLE.fullmatch(path.name):
        return "the name holds characters that are not printable ASCII, or blanks at an end; rename the file"
    if any("\ud800" <= letter <= "\udfff" for letter in str(path.parent)):
        return "the name of its folder is not valid UTF-8; rename the folder"
    return ""


def _explain_other(name: str) -> str:
    lower = name.lower()
    archive = _ARCHIVE.search(lower)
    described = name == "MANIFEST.json" or name.endswith("SHA256SUMS.txt")
    trades = name.endswith(".csv") and _is_pair(name.removesuffix(".csv"))
    shouted = lower.endswith((".csv", ".zip")) and not name.endswith((".csv", ".zip"))
    packed = archive[1] if archive else ""
    answers = {
        "an older export in another layout; the same candles are in PAIR_1440.csv and PAIR_60.csv": name.endswith(
            ("_Daily_OHLC.csv", "_Hourly_OHLC.csv")
        ),
        f"the note on why {name.removesuffix(REASON_SUFFIX)} was refused; it holds no candles": name.endswith(
            REASON_SUFFIX
        ),
        "describes Kraken's release; it holds no candles": described,
        "single trades, not candles: a pair without an interval": trades,
        "the ending must be in lower case: .csv or .zip": shouted,
        f"{OTHER_ARCHIVE} {packed}, and only zips are read: unpack it, or pack it as .zip; {_EXPECTED}": bool(packed),
    }
    return next((answer for answer, fits in answers.items() if fits), f"not an OHLCVT name; {_EXPECTED}")


def _is_pair(text: str) -> bool:
    try:
        split_pair(text)
    except BadInput:
        return False
    return True


def _ignored(reason: str) -> Verdict:
    return Verdict(Kind.IGNORED, None, None, reason)


def _invalid(reason: str) -> Verdict:
    return Verdict(Kind.INVALID, None, None, reason)
