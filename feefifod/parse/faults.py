"""A file that is wrong as a whole: what most of its rows have in common, in words for the person who made it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from feefifod.errors import BadInput
from feefifod.model import INTERVALS
from feefifod.parse.rows import Reject

_EXAMPLES: Final = 50
_MOST_CAUSES: Final = 100
_TEXT_LETTERS: Final = 120
_COLUMN: Final = re.compile(r"^(?:time|open|high|low|close|volume|trade count) (?=is )")
_COUNT: Final = re.compile(r"^[0-9]+ fields?(?= instead)")
_NUMERAL: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_OTHER_ENDS: Final = ((";", "semicolons"), ("\t", "tabs"), ("\\t", "tabs"), ("|", "vertical bars"))
_OFF_GRID: Final = "time is not on the grid"
_UNIT_FACTORS: Final = {"milliseconds": "1,000", "microseconds": "1,000,000", "nanoseconds": "1,000,000,000"}
_ROW_REMEDY: Final = "A row is time,open,high,low,close,volume,trades"
_HEADER_REMEDY: Final = (
    "Put a first line above the rows that names the columns, as time,open,high,low,close,vwap,volume,trades"
)

# A series under the name of a finer one has no bad row. It is refused only when nothing else can be true.
# Of the rows of a file of half the interval, half lie on the grid.
_HALF: Final = 0.4
_FEWEST_HALF: Final = 10


@dataclass(slots=True)
class Faults:
    """Counts the bad rows of one file by cause; memory is bounded by the number of causes.

    Attributes:
        examples: the first bad rows of each cause.
    """

    interval_minutes: int
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Reject]] = field(default_factory=dict)

    def add(self, rejects: Sequence[Reject]) -> None:
        """Count these rows."""
        for reject in rejects:
            cause = _COUNT.sub("another number of fields", _COLUMN.sub("", reject.reason)).partition(" (")[0]
            if len(self.counts) >= _MOST_CAUSES and cause not in self.counts:
                cause = "others"
            self.counts[cause] += 1
            examples = self.examples.setdefault(cause, [])
            if len(examples) < _EXAMPLES:
                examples.append(reject)

    def judge(self, good_rows: int) -> BadInput | None:
        """Say why the whole file is to be refused: most of its rows are bad for one reason, or all for several."""
        if not self.counts:
            return None
        bad_rows = self.counts.total()
        cause, count = self.counts.most_common(1)[0]
        rows = good_rows + bad_rows
        if 2 * count <= rows and not self._is_half_off_grid(cause, count, rows):
            if good_rows:
                return None
            return _tell(f"none of its {rows} rows is good, for several reasons; {count} of them", self.examples[cause])
        error = diagnose(self.examples[cause], self.interval_minutes, all_rows=count == rows)
        what = f"all its {rows} rows are" if count == rows else f"{count} of its {rows} rows are"
        if rows == 1:
            what = "its only row is"
        return _tell(f"{what} bad for one reason: {error.why}", self.examples[cause], error.remedy)

    def _is_half_off_grid(self, cause: str, count: int, rows: int) -> bool:
        if not cause.startswith(_OFF_GRID[5:]) or count < _FEWEST_HALF or count < _HALF * rows:
            return False
        return _guess_interval(_read_times(self.examples[cause])) in INTERVALS


def _tell(what: str, examples: Sequence[Reject], remedy: str = "") -> BadInput:
    first = examples[0]
    text = first.text if len(first.text) <= _TEXT_LETTERS else f"{first.text[:_TEXT_LETTERS]}..."
    return BadInput(f"{what} (first in line {first.line}, {first.reason}: {text})", remedy=remedy)


def diagnose(examples: Sequence[Reject], interval_minutes: int, *, all_rows: bool) -> BadInput:
    """Find what is behind the reason that many rows are refused for."""
    reason = examples[0].reason
    if reason.startswith(_OFF_GRID):
        return _explain_grid(_read_times(examples), interval_minutes, all_rows=all_rows)
    texts = [example.text for example in examples]
    plain = BadInput(reason if reason.startswith("time") else _COLUMN.sub("", reason))
    if "field" in reason:
        guesses = _explain_fields(texts)
        by_header = bool(examples[0].header) or "header" in reason
        wide = _most(text.count(",") >= 5 for text in texts)
        plain = BadInput(reason, remedy="" if by_header else _HEADER_REMEDY if wide else _ROW_REMEDY)
    elif "not a plain decimal number" in reason:
        guesses = _explain_numbers(texts, reason)
    else:
        guesses = (
            (f"its times are {unit}", f"Divide them by {factor}: whole seconds are expected", unit in reason)
            for unit, factor in _UNIT_FACTORS.items()
        )
    return next((BadInput(why, remedy=remedy) for why, remedy, holds in guesses if holds), plain)


_Guess = tuple[str, str, bool]
"""What may be behind it, what to do, and whether it holds."""


def _explain_ends(texts: Sequence[str]) -> Iterator[_Guess]:
    for mark, name in _OTHER_ENDS:
        yield f"its fields are separated by {name}", "Separate them by commas", _most(t.count(mark) >= 4 for t in texts)


def _explain_fields(texts: Sequence[str]) -> Iterator[_Guess]:
    yield from _explain_ends(texts)
    yield (
        "its numbers have decimal commas",
        "Write them with points: 0.5",
        _most(_has_decimal_commas(text) for text in texts),
    )
    yield (
        "it holds single trades (time, price, volume), not candles",
        "Name files of trades XBTUSD.csv, without an interval",
        _most(text.count(",") == 2 for text in texts),
    )
    yield (
        "its lines are not separated by commas",
        _ROW_REMEDY,
        _most("," not in text for text in texts),
    )


def _explain_numbers(texts: Sequence[str], reason: str) -> Iterator[_Guess]:
    yield from _explain_ends(texts)
    yield "its numbers stand in quotes", "Write them without quotes", _most('"' in t or "'" in t for t in texts)
    yield (
        "its times are text",
        _HEADER_REMEDY.replace("time,", "date,"),
        reason.startswith("time is") and _most(bool(re.match("[0-9]{4}-", text)) for text in texts),
    )
    yield "there are blanks among its numbers", "Write them without blanks", _most(" " in text for text in texts)


def _has_decimal_commas(text: str) -> bool:
    """Tell whether the fields are a whole time and then pairs of whole numbers, where five or more were expected."""
    fields = text.split(",")
    return len(fields) >= 9 and all(field.isdigit() for field in fields)


def _most(found: Iterable[bool]) -> bool:
    marks = list(found)
    return 2 * sum(marks) > len(marks)


def _read_times(examples: Sequence[Reject]) -> list[int]:
    """Take the times out of rows that are bad only because of them: the first number that can be one."""
    times = []
    for example in examples:
        numbers = [float(text) for text in _NUMERAL.findall(example.text)]
        times += [int(number) for number in numbers if 1.2e9 <= number < 1e10][:1]
    return times


def _guess_interval(times: Sequence[int]) -> int:
    """Return the largest interval on whose grid all times lie; 0 when there is none."""
    if not times:
        return 0
    return max((minutes for minutes in INTERVALS if all(time % (minutes * 60) == 0 for time in times)), default=0)


def _explain_grid(times: Sequence[int], interval_minutes: int, *, all_rows: bool) -> BadInput:
    step = interval_minutes * 60
    offsets = {time % step for time in times}
    if all_rows and len(times) >= 3 and len(offsets) == 1:
        offset = offsets.pop()
        amount = f"{offset} seconds" if offset % 60 else f"{offset // 60} minutes"
        zone = offset % 900 == 0  # There are time zones of quarters of hours.
        return BadInput(
            f"each of its times is {amount} after the grid of {_name(interval_minutes)}"
            + (", as in another time zone" if zone else ""),
            remedy="Write the times in UTC" if zone else "A candle's time is its beginning",
        )
    guess = _guess_interval(times)
    if not guess:
        return BadInput(
            f"its times are on no grid: candles of {_name(interval_minutes)} begin at whole multiples of it",
            remedy="Single trades belong into a file without an interval in its name: XBTUSD.csv",
        )
    return _wrong_interval(guess, interval_minutes)


def _wrong_interval(guess: int, interval_minutes: int) -> BadInput:
    return BadInput(
        f"it looks like {_name(guess)}, and its name says {_name(interval_minutes)}",
        remedy=f"If that is what it is, let its name end in _{guess}.csv",
    )


def _name(minutes: int) -> str:
    return f"{minutes} minute{'' if minutes == 1 else 's'}"
