"""Events as a person reads them: one short sentence for each thing that happened."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, Final

from feefifod.wording import count_of

Fields = Mapping[str, Any]


def tell(event: str, fields: Fields) -> str:
    """Say what happened; an event without a sentence of its own is said with all that it holds."""
    name = event.replace(" ", "_")
    speak = _SENTENCES.get(name)
    try:
        return speak(fields) if speak else _tell_plainly(name, fields)
    except (KeyError, TypeError, ValueError):
        return _tell_plainly(name, fields)  # It holds something else than its sentence needs.


def is_told(event: str, fields: Fields) -> bool:
    """Whether an event is worth a line: what a batch's only file tells is not, nor is a check that found nothing."""
    if event in ("batch_started", "batch_loaded"):
        return fields.get("files") != 1
    return event != "repair_checked" or bool(fields.get("rows_repaired") or fields.get("differences"))


def _tell_plainly(name: str, fields: Fields) -> str:
    said = name.replace("_", " ")
    place = f" {where}" if (where := fields.get("where") or fields.get("file")) else ""
    reason = f": {fields['reason']}" if fields.get("reason") else ""
    remedy = f". {fields['remedy']}" if fields.get("remedy") else ""
    rest = {key: value for key, value in fields.items() if key not in _SAID and value is not None}
    more = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in rest.items())
    return f"{said}{place}{reason}{remedy}{f' ({more})' if more else ''}"


_SAID: Final = frozenset({"where", "file", "reason", "remedy", "batch", "logger", "exception", "stack"})


def _tell_done(fields: Fields) -> str:
    text = f"{fields['file']}: {count_of(fields['rows'], 'candle')}"
    if fields.get("ticker"):
        text += f" of {fields['ticker']}/{fields['quote']}, {fields['interval_minutes']} min"
    if fields.get("seconds") is not None:
        text += f", in {fields['seconds']:.1f} s"
    text += _to(fields)
    if fields.get("rejected"):
        text += f"; {count_of(fields['rejected'], 'bad row')} set aside in rejected/{fields['file']}.rows.csv"
    return text


def _to(fields: Fields) -> str:
    """Say where a file went: the folder, and its name where that is another one now."""
    if not fields.get("to"):
        return ""
    path = PurePath(str(fields["to"]))
    place = path.parent if path.name == PurePath(str(fields["file"])).name else path
    here = PurePath(os.path.relpath(place))
    return f" → {place if '..' in here.parts else here}"


def _tell_trouble(fields: Fields) -> str:
    where = f"{fields['where']}: " if fields.get("where") else ""
    remedy = f". {fields['remedy']}" if fields.get("remedy") else ""
    again = f"; tried again in {fields['again_in_seconds']:.0f} s" if fields.get("again_in_seconds") else ""
    return f"{where}{fields['reason']}{remedy}{again}"


def _tell_over(fields: Fields) -> str:
    return f"it is over after {fields['for_seconds']} s: {fields['reason']}"


def _tell_ended(fields: Fields) -> str:
    return f"{fields['file']}: {fields['reason'] or 'it holds no data row'}{_to(fields)}"


_SENTENCES: Final[dict[str, Callable[[Fields], str]]] = {
    "starting": lambda fields: f"feefifod {fields['version']} starts, process {fields['pid']}",
    "server_started": lambda fields: f"{fields['server']} is up after {fields['seconds']:.1f} s: {fields['url']}",
    "server_stopped": lambda fields: f"{fields['server']} has stopped",
    "watching": lambda fields: f"watching {fields['folder']}",
    "draining": lambda fields: f"{fields['signal']}: what is in flight is finished, then it stops; once more cuts",
    "cut": lambda fields: f"{fields['signal']}: cut",
    "stopped": lambda _: "stopped",
    "batch_started": lambda fields: (
        f"loading {count_of(fields['files'], 'file')}, {fields['bytes'] / 1e6:,.1f} MB, by the {fields['lane']} lane"
    ),
    "batch_loaded": lambda fields: (
        f"loaded {count_of(fields['files'], 'file')}: {count_of(fields['rows'], 'row')} in {fields['seconds']:.1f} s,"
        f" {fields['rows_per_second']:,} rows/s"
    ),
    "file_done": _tell_done,
    "file_duplicate": _tell_ended,
    "file_empty": _tell_ended,
    "file_rejected": lambda fields: f"{fields['file']}: refused: {fields['reason']}{_to(fields)}",
    "file_withdrawn": lambda fields: f"{fields['file']} is looked at more closely: {fields['reason']}",
    "file_given_back": lambda fields: f"{fields['file']} stays for now: {fields['reason']}",
    "trouble": _tell_trouble,
    "trouble_over": _tell_over,
    "waiting": _tell_trouble,
    "waiting_over": _tell_over,
}
