"""LUTHIER_HOME: the one folder with all embedded state, who holds it, and what was made once for it."""

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

from app.local.supervisor import StartError

ALREADY_UP = 3  # the exit code of a second `up` on the same home
PRIVATE = 0o700
ENTERED = 0o711  # by root's home: PostgreSQL runs as another user and passes through to its own folders


@dataclass(frozen=True)
class Secrets:
    """What is made once per home: keys, and the ports of the servers that listen on one."""

    secret_key: str
    external_api_key: str
    s3_access_key: str
    s3_secret_key: str
    runtime_token: str
    s3_port: int
    runtime_port: int


@dataclass(frozen=True)
class Home:
    """Where things are inside the folder."""

    folder: Path

    @property
    def run(self) -> Path:
        """Sockets and marks of what runs now."""
        return self.folder / "run"

    @property
    def record(self) -> Path:
        """The children that run now."""
        return self.run / "children.json"

    @property
    def up(self) -> Path:
        """What `luthier up` says about itself while all of it is ready."""
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
def hold(folder: Path) -> Iterator[Home]:
    """The home, made if it is missing, and held: a second holder is refused, in any process.

    Raises StartError. The kernel lets go of a dead holder's lock.
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


def read_secrets(home: Home, *taken: int) -> Secrets:
    """The secrets of this home: what is missing is made, and a port that is in use or taken is chosen anew."""
    path = home.folder / "secrets.json"
    read = _read(path)
    kept = _fresh() | read
    known = Secrets(**{field.name: kept[field.name] for field in fields(Secrets)})
    s3_port = free_port(known.s3_port, *taken)
    found = replace(known, s3_port=s3_port, runtime_port=free_port(known.runtime_port, s3_port, *taken))
    if asdict(found) != read:
        write_private(path, json.dumps(asdict(found), indent=2))
    return found


def free_port(wanted: int, *taken: int) -> int:
    """The wanted port if it is not taken and nobody listens there, else one that the system gives."""
    with suppress(OSError):
        if wanted not in taken:
            return _bind(wanted)
    while (port := _bind(0)) in taken:
        pass
    return port


def require_port(port: int) -> int:
    """The port, or a free one for 0. Raises StartError if it cannot be listened on."""
    try:
        return _bind(port)
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "is taken" if taken else "cannot be listened on"
        raise StartError(f"port {port} {why}: choose another with --port") from error


def write_private(path: Path, text: str) -> None:
    """Replace a file at once by one that only its owner reads."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)  # its mode would stay
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _make(home: Home) -> None:
    if not home.folder.is_dir():  # the mode of a folder that somebody else made is not ours to change
        home.folder.mkdir(parents=True)
        home.folder.chmod(PRIVATE if os.geteuid() else ENTERED)
    for folder in (home.run, home.buckets, home.log("any").parent):
        folder.mkdir(mode=PRIVATE, exist_ok=True)


def _lock(lock: int, home: Home) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode() or "unknown"
        message = f"luthier is already up on {home.folder} (process {holder})"
        raise StartError(message, exit_code=ALREADY_UP) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def _fresh() -> dict[str, Any]:
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
        raise StartError(f"{path} cannot be read: put it back, or delete the home to begin anew") from error


def _bind(port: int) -> int:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a server does after a restart
        listener.bind(("127.0.0.1", port))
        return int(listener.getsockname()[1])


def chosen_home() -> Path:
    """The folder that LUTHIER_HOME names, `data` where it names none."""
    return Path(os.environ.get("LUTHIER_HOME") or "data").absolute()
