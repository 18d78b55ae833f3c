"""What a load needs before it begins: a lane, and the assets that its rows belong to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from feefifod.errors import Refused
from feefifod.ingest.inspect import Inspection
from feefifod.ingest.tools import Tools
from feefifod.model import Asset, Category
from feefifod.parse.tiers import tier_of
from feefifod.sink import Lane

_ROW_BYTES: Final = 50


def choose_lane(tools: Tools, size_bytes: int) -> Lane:
    """Return the bulk lane for what is large enough to gain by it, where there is one.

    Raises:
        Refused: the configuration wants the bulk lane and there is none.
    """
    wanted = tools.pipeline.lane
    if wanted == "bulk" and tools.bulk is None:
        raise Refused(
            "the bulk lane is not available: the server does not see a folder of ours",
            where="[pipeline] lane",
            remedy='Set [databases.questdb] import_dir to its SQL import root, or lane to "auto"',
        )
    large = size_bytes // _ROW_BYTES >= tools.pipeline.bulk_min_rows
    if tools.bulk is not None and (wanted == "bulk" or (wanted == "auto" and large)):
        return tools.bulk
    return tools.ilp


async def ensure_assets(tools: Tools, inspections: Sequence[Inspection]) -> dict[tuple[str, str], Asset]:
    """Create the assets that these files need, each with its tier; return all by ticker and category."""
    wanted = {
        (i.file.series.ticker, i.file.series.category, tier_of(i.file.series.ticker, tools.tiers)) for i in inspections
    }
    found = await tools.patiently(partial(tools.assets.ensure, wanted))
    return {(ticker, str(Category(category))): asset for (ticker, category), asset in found.items()}
