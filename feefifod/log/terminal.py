"""Lines for a terminal: the local time, what happened, and a colour for what needs attention."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from feefifod.log.redaction import escape_controls
from feefifod.log.sentences import tell

_COLOURS: Final = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m", "debug": "\x1b[2m"}
_DIM: Final = "\x1b[2m"
_END: Final = "\x1b[0m"
_OURS: Final = ("level", "logger", "timestamp", "event", "exception", "stack")


class TerminalRenderer:
    """Makes a line of an event, the last step of structlog's pipeline; a traceback follows on lines of its own."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _: object, __: str, event: MutableMapping[str, Any]) -> str:
        """Write the line. Secrets are out of the event by now; control characters of foreign text are not."""
        fields = {name: value for name, value in event.items() if name not in _OURS}
        said = escape_controls(tell(str(event["event"]), fields))
        level = str(event.get("level", "info"))
        traces = [escape_controls(str(event[name]), keep="\n\t") for name in ("exception", "stack") if event.get(name)]
        if level in ("error", "critical", "warning"):
            said = f"{level}: {said}"
        clock = time.strftime("%H:%M:%S")
        if self._colours:
            clock = f"{_DIM}{clock}{_END}"
            said = f"{_COLOURS[level]}{said}{_END}" if level in _COLOURS else said
        return "\n".join([f"{clock} {said}", *traces])


class PrintingHandler(logging.Handler):
    """Hands each line to a function, which knows what else is on the terminal."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; a terminal that was closed takes none, which must not disturb the work."""
        try:
            self._write(self.format(record))
        except Exception:
            self.handleError(record)
