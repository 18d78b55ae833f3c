"""API keys: is there one for each source that a schedule names, and does the API take it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import anyio

from feefifod.catalog import SharedPacer
from feefifod.config import FinnhubSettings
from feefifod.doctor.finding import Finding, fail, good, warn
from feefifod.errors import BadInput, ConfigError, FeefifodError
from feefifod.log import redact, register_secret
from feefifod.model import Category, Source
from feefifod.schedule.sessions import last_finished_day
from feefifod.sources.failure import CategoryStopped, NotYet, SourceStopped
from feefifod.sources.finnhub import Finnhub
from feefifod.sources.http import Patience
from feefifod.sources.keys import read_key
from feefifod.sources.massive import Massive
from feefifod.sources.pacing import spacing_seconds
from feefifod.sources.symbols import name_for_finnhub, name_for_massive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from pydantic import SecretStr

    from feefifod.catalog import Database
    from feefifod.config import ScheduleSettings, SourceSettings
    from feefifod.config.backfills import SourcesSettings

API_SOURCES: Final = (Source.MASSIVE, Source.FINNHUB)
_ASK_SECONDS: Final = 45.0
_PATIENCE: Final = Patience(attempts=1, timeout_seconds=15.0, throttled_seconds=0.0)
_ONLINE_WHY: Final = "a key that was revoked, or a plan that lacks the data, fails every scheduled backfill"
_PROBES: Final = {
    Category.CRYPTO: ("BTC", "USD"),
    Category.CURRENCY: ("EUR", "USD"),
    Category.COMMODITY: ("GLD", "USD"),
}


def find_keys(
    schedules: Sequence[ScheduleSettings], environ: Mapping[str, str], *, daemon_runs: bool
) -> tuple[list[Finding], dict[Source, SecretStr]]:
    """Look for the keys; return the findings and the keys that are there."""
    findings: list[Finding] = []
    keys: dict[Source, SecretStr] = {}
    for source in API_SOURCES:
        check, needed = _check_of(source), [s.name for s in schedules if s.source == source]
        why = f"needed by the schedules: {', '.join(needed)}" if needed else "no schedule needs it"
        try:
            keys[source] = read_key(source, environ)
        except ConfigError as error:
            if not needed:
                findings.append(good(check, "not set", f"{why}; load-prices and backfill-prices would"))
            elif daemon_runs:
                # systemd shows a credential to the service alone.
                remedy = f"{error.remedy}. If the running daemon has it as a credential, all is well"
                findings.append(warn(check, f"{error.why} here", why, remedy))
            else:
                findings.append(fail(check, error.why, why, error.remedy))
        else:
            register_secret(keys[source].get_secret_value())
            findings.append(good(check, "set", why))
    return findings, keys


async def ask_apis(
    sources: SourcesSettings,
    schedules: Sequence[ScheduleSettings],
    keys: Mapping[Source, SecretStr],
    database: Database | None,
    now: datetime,
) -> list[Finding]:
    """Make one call with each key, at the pace that all processes share."""
    findings = []
    for source, key in keys.items():
        if database is None:
            remedy = "Start it and set it up: feefifod run-once"
            what = "not asked: PostgreSQL, which keeps the pace of calls, is not ready"
            findings.append(warn(f"{_check_of(source)} online", what, _ONLINE_WHY, remedy))
            continue
        settings = sources.massive if source is Source.MASSIVE else sources.finnhub
        named = [schedule.category for schedule in schedules if schedule.source == source and schedule.category]
        category = named[0] if named else Category.STOCK
        findings.append(await _ask(source, settings, key, database, category=category, now=now))
    return findings


async def _ask(
    source: Source, settings: SourceSettings, key: SecretStr, database: Database, *, category: Category, now: datetime
) -> Finding:
    check = f"{_check_of(source)} online"
    pacer = SharedPacer(database, str(source), spacing_seconds(source, settings.calls_per_minute))
    ticker, quote = _PROBES.get(category, ("AAPL", "USD"))
    session = _pick_session(category, now, source)
    try:
        with anyio.fail_after(_ASK_SECONDS):
            if isinstance(settings, FinnhubSettings):
                async with Finnhub(settings.base_url, key, pacer, patience=_PATIENCE) as finnhub:
                    await finnhub.read_range(name_for_finnhub(ticker, category, quote, settings), session, session)
            else:
                async with Massive(settings.base_url, key, pacer, patience=_PATIENCE) as massive:
                    await massive.read_range(name_for_massive(ticker, category, quote), session, session)
    except CategoryStopped as error:
        what = f"the key is accepted, but not for {category}: {redact(error.why)}"
        return warn(check, what, _ONLINE_WHY, error.remedy or "Choose another plan, source or category")
    except SourceStopped as error:
        return fail(check, redact(error.why), _ONLINE_WHY, error.remedy or f"Check {source.upper()}_API_KEY")
    except (BadInput, NotYet):
        pass  # The API knows us, and has nothing for that day.
    except FeefifodError as error:
        remedy = error.remedy or f"Try again later; check sources.{source}.base_url"
        return warn(check, redact(error.why), "scheduled backfills wait until it answers", remedy)
    except TimeoutError:
        what = f"no answer within {_ASK_SECONDS:g} s, the wait for our turn included"
        return warn(check, what, "scheduled backfills wait until it answers", "Try again later")
    return good(check, f"the key is accepted by {settings.base_url}", _ONLINE_WHY)


def _check_of(source: Source) -> str:
    return f"API key of {source}"


def _pick_session(category: Category, now: datetime, source: Source) -> date:
    """Return a weekday that every plan serves by now."""
    day = last_finished_day(category, now, source) - timedelta(days=2)
    return day - timedelta(days=max(day.weekday() - 4, 0))
