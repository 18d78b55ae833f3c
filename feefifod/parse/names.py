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
    """

    kind: Kind
    pair: Pair | None
    interval_minutes: int | None
    reason: str


_MINUTES: Final = {str(minutes): minutes for minutes in INTERVALS}
_LISTED: Final = ", ".join(_MINUTES)

# Every character and the digits of every script, so that a hostile name is still seen as what it imitates.
_OHLCVT: Final = re.compile(r"(?P<stem>.+)_(?P<minutes>\d+)\.csv", re.DOTALL)
_ZIP: Final = re.compile(r".+\.zip(?P<part>\.part[0-9]+)?", re.DOTALL)
_PRINTABLE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_TEMPORARY: Final = (".part", ".tmp", ".filepart", ".crdownload", "~")


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
        return _judge_ohlcvt(ohlcvt["stem"], ohlcvt["minutes"])
    split = archive is not None and archive["part"] is not None
    return Verdict(Kind.ZIP, None, None, "a part of a split zip" if split else "its members are judged one by one")


def _judge_ohlcvt(stem: str, minutes_text: str) -> Verdict:
    try:
        pair = split_pair(stem)
    except BadInput as error:
        return _invalid(error.why)
    minutes = _MINUTES.get(minutes_text)
    if minutes is None:
        shown = minutes_text if len(minutes_text) <= 12 else f"{minutes_text[:12]}..."
        return _invalid(f"there is no interval of {shown} minutes; Kraken's are {_LISTED}")
    return Verdict(Kind.OHLCVT, pair, minutes, f"candles of {minutes} min, {pair.ticker} in {pair.quote}")


def _find_ignored_place(folders: Sequence[str], name: str) -> str:
    """Say why a name is never looked at, whatever it promises; empty when nothing is against it."""
    if name == "__MACOSX" or "__MACOSX" in folders:
        return "macOS packs its own notes into __MACOSX; they hold no candles"
    if name.startswith("._"):
        return "a note of macOS beside the real file; it holds no candles"
    if name.startswith("."):
        return "a hidden file, or one that is still being copied"
    if any(part.startswith(".") for part in folders):
        return "in a hidden folder"
    if name.endswith(_TEMPORARY):
        return "a temporary name: still being copied or downloaded"
    return ""


def _find_bad_characters(path: PurePath) -> str:
    if not _PRINTABLE.fullmatch(path.name):
        return "the name holds characters that are not printable ASCII, or blanks at an end; rename the file"
    if any("\ud800" <= letter <= "\udfff" for letter in str(path.parent)):
        return "the name of its folder is not valid UTF-8; rename the folder"
    return ""


def _explain_other(name: str) -> str:
    if name.endswith(("_Daily_OHLC.csv", "_Hourly_OHLC.csv")):
        return "an older export in another layout; the same candles are in PAIR_1440.csv and PAIR_60.csv"
    if name == "MANIFEST.json" or name.endswith("SHA256SUMS.txt"):
        return "describes Kraken's release; it holds no candles"
    if name.endswith(".csv") and _is_pair(name.removesuffix(".csv")):
        return "single trades, not candles: a pair without an interval"
    if name != name.lower() and name.lower().endswith((".csv", ".zip")) and not name.endswith((".csv", ".zip")):
        return "the ending must be in lower case: .csv or .zip"
    return "not an OHLCVT name; expected PAIR_MINUTES.csv"


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
