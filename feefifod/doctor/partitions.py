"""What the partitioning of the table means where QuestDB runs: how many can read all of it at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from feefifod.doctor.finding import Finding, good, warn
from feefifod.doctor.limits import FEW_FILES, MANY_MAPS

USUAL_MAPS: Final = 65_530
"""What Linux grants a process unless told otherwise."""

READERS: Final = 4
"""So many readers of the whole table at once are nothing unusual."""

_KEPT_KEY: Final = "cairo.inactive.reader.max.open.partitions"
_KEPT_DEFAULT: Final = 10_000
_KEPT_WANTED: Final = 128
_OTHERS: Final = 2_000
"""Maps that QuestDB has besides: Java, libraries, write-ahead logs, the writer of the table."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of where QuestDB runs; None where it is not known.

    Attributes:
        max_maps: memory maps that a process may have.
        open_files: files that QuestDB may have open.
    """

    max_maps: int | None
    open_files: int | None


def judge_partitions(
    check: str,
    machine: Machine,
    parameters: Mapping[str, str],
    *,
    table: str,
    partition_by: str,
    partitions: int,
    columns: int,
) -> Finding:
    """Judge whether a few readers of the whole table leave maps for writing it. `parameters`: QuestDB's settings."""
    check = f"{check} partitions"
    each = partitions * columns
    limit = USUAL_MAPS if machine.max_maps is None else machine.max_maps
    fit = max(limit - _OTHERS, 0) // max(each, 1)
    what = f"{table}: {partitions:,} by {partition_by} x {columns} columns = {each:,} memory maps a reader of all of it"
    what += f"; vm.max_map_count = {limit:,}" if machine.max_maps is not None else ""
    if machine.max_maps is None:
        what += f"; what its machine grants is not seen from here, Linux usually {limit:,}"
    what += f": room for {fit:,} at once" if fit < 100 else ": room for many at once"
    why = "where maps run short, queries fail, and loading waits until readers leave"
    few_files = machine.open_files is not None and 0 <= machine.open_files < FEW_FILES
    if few_files:
        # A file is closed when it is mapped: by DAY and with four readers, fewer than 400 are open.
        what += f"; and it may open {machine.open_files:,} files"
    if fit >= READERS and not few_files:
        return good(check, what, why)
    remedies = []
    if fit < READERS:
        wanted = max(MANY_MAPS, 2 ** (READERS * each + _OTHERS).bit_length())
        where = "" if machine.max_maps is not None else "on QuestDB's machine, "
        remedies.append(f"{where}as root: sysctl -w vm.max_map_count={wanted}")
    if few_files:
        remedies.append("start QuestDB with LimitNOFILE=1048576")
    kept = parameters.get(_KEPT_KEY, "")
    if kept and (int(kept) if kept.isdigit() else _KEPT_DEFAULT) > _KEPT_WANTED:
        remedies.append(
            f"set {_KEPT_KEY}={_KEPT_WANTED} in QuestDB's conf/server.conf: its idle readers keep maps, too"
        )
    if partition_by in {"HOUR", "DAY", "WEEK"}:
        remedies.append("or a table by MONTH, by feefifod setup-questdb-schema --partition-by MONTH")
    return warn(check, what, why, _join(remedies))


def _join(remedies: list[str]) -> str:
    text = "; ".join(remedies)
    return text[:1].upper() + text[1:]
