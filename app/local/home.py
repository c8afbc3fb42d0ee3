"""LUTHIER_HOME: the folder with the state of all embedded servers, its lock, and its secrets."""

import errno
import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from app.failures import StartError

ALREADY_UP = 3  # the exit code of `luthier up` on a home that is locked
PRIVATE = 0o700
TRAVERSABLE = (
    0o711  # the mode of root's home: PostgreSQL runs as another user, who must reach its own folder inside
)


@dataclass(frozen=True)
class Secrets:
    """The generated keys of a home, and the ports of its servers, which stay the same while they are free."""

    secret_key: str
    external_api_key: str
    s3_access_key: str
    s3_secret_key: str
    runtime_token: str
    s3_port: int
    runtime_port: int


@dataclass(frozen=True)
class Home:
    """The paths inside the folder."""

    folder: Path

    @property
    def run(self) -> Path:
        """Sockets and state of the running processes."""
        return self.folder / "run"

    @property
    def record(self) -> Path:
        """The ids of the running children."""
        return self.run / "children.json"

    @property
    def up(self) -> Path:
        """The process id and the URL of `luthier up`, while all servers are ready."""
        return self.folder / "up.json"

    @property
    def buckets(self) -> Path:
        """A folder for each bucket."""
        return self.folder / "s3"

    @property
    def database(self) -> Path:
        """PostgreSQL's data."""
        return self.folder / "postgres"

    def log(self, name: str) -> Path:
        """The log of a child."""
        return self.folder / "logs" / f"{name}.log"


@contextmanager
def lock_home(folder: Path) -> Iterator[Home]:
    """Lock the home, which is created if it is missing; raises `StartError` where another process has the lock.

    The kernel releases the lock when the process dies.
    """
    home = Home(folder.expanduser().absolute())
    try:
        _make(home)
        lock = os.open(home.folder / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(f"LUTHIER_HOME {home.folder} cannot be written: {error.strerror}") from error
    try:
        _lock(lock, home)
        yield home
    finally:
        os.close(lock)


def is_locked(home: Home) -> bool:
    """Whether another process has the lock of the home."""
    try:
        with (home.folder / "up.lock").open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def read_secrets(home: Home, *reserved: int) -> Secrets:
    """The secrets of a home; missing ones are generated, and a port that is in use or reserved is replaced."""
    path = home.folder / "secrets.json"
    stored = _read(path)
    values = _new_secrets() | stored
    secrets = Secrets(**{field.name: values[field.name] for field in fields(Secrets)})
    s3_port = free_port(secrets.s3_port, *reserved)
    runtime_port = free_port(secrets.runtime_port, s3_port, *reserved)
    secrets = replace(secrets, s3_port=s3_port, runtime_port=runtime_port)
    if asdict(secrets) != stored:
        write_private(path, json.dumps(asdict(secrets), indent=2))
    return secrets


def running_secrets(home: Home) -> Secrets:
    """The secrets of a home whose servers are up, with their ports; raises `StartError` where there are none."""
    stored = _read(home.folder / "secrets.json")
    try:
        return Secrets(**{field.name: stored[field.name] for field in fields(Secrets)})
    except KeyError as error:
        raise StartError(f"luthier is still starting on {home.folder}; try again in a moment") from error


def free_port(preferred: int, *reserved: int) -> int:
    """The preferred port if it is free and not reserved, else another free one."""
    with suppress(OSError):
        if preferred not in reserved:
            return _bind(preferred)
    while (port := _bind(0)) in reserved:
        pass
    return port


def require_port(port: int) -> int:
    """The port, or a free one for 0; raises `StartError` where it cannot be listened on."""
    try:
        return _bind(port)
    except (OSError, OverflowError) as error:
        is_in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        problem = "is taken" if is_in_use else "cannot be listened on"
        raise StartError(f"port {port} {problem}: choose another with --port") from error


def write_private(path: Path, text: str) -> None:
    """Write a file atomically, with mode 0600."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)  # an existing file would keep its mode
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _make(home: Home) -> None:
    if not home.folder.is_dir():  # an existing folder keeps its mode
        home.folder.mkdir(parents=True)
        home.folder.chmod(PRIVATE if os.geteuid() else TRAVERSABLE)
    for folder in (home.run, home.buckets, home.log("any").parent):
        folder.mkdir(mode=PRIVATE, exist_ok=True)


def _lock(lock: int, home: Home) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(lock, 20, 0).decode() or "unknown"
        message = f"luthier is already up on {home.folder} (process {pid})"
        raise StartError(message, exit_code=ALREADY_UP) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def _new_secrets() -> dict[str, Any]:
    return {
        "secret_key": secrets.token_hex(32),
        "external_api_key": secrets.token_hex(24),
        "s3_access_key": f"LUTHIER{secrets.token_hex(7).upper()}",
        "s3_secret_key": secrets.token_hex(24),
        "runtime_token": secrets.token_hex(24),
        "s3_port": 0,
        "runtime_port": 0,
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StartError(f"{path} cannot be read: restore it, or delete the home to start again") from error


def _bind(port: int) -> int:
    with socket.socket() as listener:
        listener.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as servers set it: a port in TIME_WAIT is free
        listener.bind(("127.0.0.1", port))
        return int(listener.getsockname()[1])


def chosen_home() -> Path:
    """The folder in LUTHIER_HOME; `data` where that is not set."""
    return Path(os.environ.get("LUTHIER_HOME") or "data").absolute()
