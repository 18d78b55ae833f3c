"""Words that depend on numbers."""

from __future__ import annotations


def count_of(number: int, noun: str, plural: str = "") -> str:
    """Say how many: "1 file", "1,200 files"; `plural` where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
