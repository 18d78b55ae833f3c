"""How many calls each API got and how they ended, since the process began; metrics read it."""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal

from feefifod.model import Source

Outcome = Literal["ok", "retried", "throttled", "failed"]
"""`retried`: it failed and was, or was to be, tried again; `failed`: it ended the request."""

calls: Final[Counter[tuple[Source, Outcome]]] = Counter()
