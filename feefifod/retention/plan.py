"""Which files of a series may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feefifod.verify.pruned import list_months

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from feefifod.catalog.verification import DoneFile


def choose_going(files: Sequence[DoneFile], may_go: Callable[[DoneFile], bool]) -> list[DoneFile]:
    """Return the files that may go: of a month, all files go together or none does.

    A fingerprint stands for what all of them have brought: who won against whom cannot be told without them.
    """
    going = [file for file in files if may_go(file)]
    while True:
        ids = {file.id for file in going}
        staying = {month for file in files if file.id not in ids for month in list_months(file)}
        left = [file for file in going if staying.isdisjoint(list_months(file))]
        if len(left) == len(going):
            return left
        going = left


def find_unprovable(
    files: Sequence[DoneFile], blind: Collection[int], unstable: Collection[int] = ()
) -> dict[int, str]:
    """Say of which files (by id) the rows are not proven, or could not be proven without them."""
    reasons = {}
    for file in files:
        its = set(list_months(file))
        if not its.isdisjoint(blind):
            reasons[file.id] = "other files of the same time were pruned, so that its rows cannot be proven any more"
        elif not its.isdisjoint(unstable):
            reasons[file.id] = "it holds numbers so large that no fingerprint can stand for them"
    return reasons
