"""The one way of logging: structlog's events and the libraries' records leave through the same handler."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from feefifod.log.redaction import redact_value
from feefifod.log.sentences import is_told
from feefifod.log.terminal import PrintingHandler, TerminalRenderer

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

_OURS: Final = "feefifod"
_handler: logging.Handler | None = None


def configure(level: str, *, stream: TextIO | None = None, write: Callable[[str], None] | None = None) -> None:
    """Log to `stream` (stderr): JSON lines, or sentences when it is a terminal. A second call replaces the first.

    Args:
        level: debug, info, warning or error, for feefifod; libraries are heard from warning on.
        stream: where to; a terminal gets sentences, coloured unless NO_COLOR is set.
        write: takes the sentences instead; for a terminal that shows something else beside them.
    """
    import structlog  # noqa: PLC0415 - it takes 0.15 s, and commands that only print never log

    global _handler  # noqa: PLW0603 - logging is the process's own, like its stderr
    out = stream if stream is not None else sys.stderr
    stamp: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    for_people = write is not None or out.isatty()
    render: Any = (
        TerminalRenderer(colours=not os.environ.get("NO_COLOR")) if for_people else structlog.processors.JSONRenderer()
    )
    handler = PrintingHandler(write) if write is not None else logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=stamp,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                _redact,
                render,
            ],
        )
    )
    root = logging.getLogger()
    if _handler is not None:
        root.removeHandler(_handler)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    _handler = handler
    set_level(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *stamp,
            *([_drop_untold] if for_people else []),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def set_level(level: str) -> None:
    """Change what is logged, from now on."""
    logging.getLogger(_OURS).setLevel(level.upper())


def is_configured() -> bool:
    """Tell whether `configure` was called."""
    return _handler is not None


def _redact(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets out, after exceptions became text and before anything is rendered."""
    return {name: redact_value(name, value) for name, value in event.items()}


def _drop_untold(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Leave out what a person need not read."""
    if not is_told(str(event.get("event")), event):
        raise importlib.import_module("structlog").DropEvent
    return event
