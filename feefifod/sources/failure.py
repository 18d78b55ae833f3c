"""Failures of a price API that ask for different decisions.

BadInput                 this asset's answer cannot be used: it fails, the others go on
├── OutOfReach           the plan does not go back so far (or the day is in the future)
├── NotFound             the API has no such thing
└── NoData               a wholly empty answer for days that should have data: never "done"
Unavailable              the API is away, or throttles for too long
└── NotYet               the day is not served yet: the next run gets it
Refused
└── SourceStopped        no further call to this API in this run: a bad key, a redirect
    └── CategoryStopped  no further call for this category in this run: the plan lacks it
"""

from __future__ import annotations

from feefifod.errors import BadInput, Refused, Unavailable


class OutOfReach(BadInput):
    """The plan does not reach this far back, or the day is in the future."""


class NotFound(BadInput):
    """The API has no such thing."""


class NoData(BadInput):
    """The API had nothing at all for days on which the market was open."""


class NotYet(Unavailable):
    """The API does not serve this day yet."""


class SourceStopped(Refused):
    """No further call to this API can succeed in this run."""


class CategoryStopped(SourceStopped):
    """No further call for this category of assets can succeed in this run."""
