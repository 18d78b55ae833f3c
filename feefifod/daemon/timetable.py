"""The schedules that the daemon keeps, exchangeable while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio

from feefifod.backfill.schedules import run_schedules
from feefifod.model import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feefifod.backfill.tools import Tools
    from feefifod.config import ScheduleSettings, SourceSettings
    from feefifod.config.backfills import SourcesSettings

    Entry = tuple[ScheduleSettings, SourceSettings]


@dataclass(slots=True)
class Timetable:
    """Runs every schedule in its time, until cancelled."""

    tools: Tools
    tasks: anyio.abc.TaskGroup
    _kept: dict[str, tuple[Entry, anyio.CancelScope]] = field(default_factory=dict)

    def keep(self, schedules: Sequence[ScheduleSettings], sources: SourcesSettings) -> None:
        """Keep these from now on. One that is the same, its API included, is not disturbed.

        A run of one that is changed is cut; it stays due and goes on at once as it is now.
        """
        self.tools = replace(self.tools, sources=sources)
        wanted = {schedule.name: (schedule, self.tools.settings_of(Source(schedule.source))) for schedule in schedules}
        for name, (entry, scope) in list(self._kept.items()):
            if wanted.get(name) != entry:
                scope.cancel()
                del self._kept[name]
        for name, entry in wanted.items():
            if name not in self._kept:
                scope = anyio.CancelScope()
                self._kept[name] = entry, scope
                self.tasks.start_soon(self._run, entry[0], scope, name=f"schedule {name}")

    async def _run(self, schedule: ScheduleSettings, scope: anyio.CancelScope) -> None:
        with scope:
            await run_schedules(self.tools, [schedule])
