"""The command line where there are no servers, and under signals."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.cli.signals import SignalHandler, Stopped, handle_signals
from app.database import UNREADABLE
from app.local.home import free_port
from app.program import PROGRAM
from tests.app.running import OUR_VARIABLES, open_folder

EXAMPLE = Path(__file__).parents[2] / "examples" / "capitals.csv"
ON_THE_DATABASE = ("migrate", "serve", "worker")
COMPLETE = {
    "SECRET_KEY": "0123456789abcdef",
    "S3_BUCKET": "luthier",
    "S3_ENDPOINT_URL": "http://127.0.0.1:9",
    "LLM_BASE_URL": "http://127.0.0.1:9/v1",
}
NOT_THERE = {"DATABASE_URL": f"postgresql://someone:hidden@127.0.0.1:{free_port(0)}/luthier"}


@pytest.fixture(autouse=True)
def default_signals() -> Iterator[None]:
    """Signals as they are in the foreground of a terminal.

    nohup ignores SIGHUP, a shell without job control ignores SIGINT in its background jobs; commands inherit that and
    honor it.
    """
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGHUP, hangup)


def luthier(*command: str, **variables: str) -> Result:
    """A command in an environment with these variables and no others of ours."""
    others: dict[str, str | None] = {name: None for name in os.environ if name.startswith(OUR_VARIABLES)}
    return CliRunner().invoke(main, command, env=others | variables)


@pytest.mark.parametrize("command", ON_THE_DATABASE)
def test_a_database_that_does_not_answer_is_one_sentence_without_its_password(command: str) -> None:
    done = luthier(command, **COMPLETE | NOT_THERE)
    assert done.exit_code == 1
    assert done.stderr.startswith("the database of DATABASE_URL does not answer: connection failed")
    assert "Connection refused" in done.stderr
    assert done.output.count("\n") == 1
    assert "hidden" not in done.output


@pytest.mark.parametrize("command", ON_THE_DATABASE)
def test_a_database_url_that_is_none_is_one_sentence(command: str) -> None:
    done = luthier(command, **COMPLETE | {"DATABASE_URL": "garbage"})
    assert (done.exit_code, done.output) == (1, "DATABASE_URL must begin with postgresql://\n")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hid@den@127.0.0.1:1/x",
        "postgresql://u:hid/den@127.0.0.1:1/x",
        "postgresql://u:12/den@127.0.0.1:1/x",
        "postgresql://u:100%hidden@127.0.0.1:1/x",
        "postgresql://u:hid den@127.0.0.1:1/x",
        "postgresql://127.0.0.1:hidden/x",
        "postgresql://u:hidden@[::1:1/x",
    ],
)
def test_an_odd_password_is_not_quoted_back(url: str) -> None:
    done = luthier("migrate", DATABASE_URL=url)
    assert (done.exit_code, done.output) == (1, f"{UNREADABLE}\n")


@pytest.mark.parametrize("command", ON_THE_DATABASE)
def test_a_host_that_is_none_is_one_sentence(command: str) -> None:
    done = luthier(command, **COMPLETE | {"DATABASE_URL": f"postgresql://{'x' * 80}/luthier"})
    assert done.exit_code == 1
    assert done.stderr.startswith("the database of DATABASE_URL does not answer: ")
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        *(("serve", name) for name in ("DATABASE_URL", "SECRET_KEY", "S3_BUCKET")),
        *(("worker", name) for name in ("DATABASE_URL", "SECRET_KEY", "S3_BUCKET")),
        ("migrate", "DATABASE_URL"),
    ],
)
def test_a_setting_that_is_missing_or_empty_is_one_sentence(command: str, missing: str) -> None:
    whole = COMPLETE | NOT_THERE
    sentence = (
        f"{missing} is not set. `luthier up` sets it for the servers that it starts; else set it yourself.\n"
    )
    without = luthier(command, **{name: value for name, value in whole.items() if name != missing})
    assert (without.exit_code, without.output) == (1, sentence)
    empty = luthier(command, **whole | {missing: ""})
    assert (empty.exit_code, empty.output) == (1, sentence)


class Tune:
    """A `luthier tune` in a process of its own."""

    def __init__(self, home: Path, *options: str, **variables: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(OUR_VARIABLES)}
        command = (*PROGRAM, "tune", str(EXAMPLE), "--port", "0", *options)
        self.home = home
        self.process = subprocess.Popen(
            command,
            env=clean | {"LUTHIER_HOME": str(home)} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, word: str) -> None:
        """Waits for the first line that has the word."""
        assert self.process.stdout
        assert any(word in line for line in self.process.stdout), self.end()

    def end(self) -> tuple[int, str]:
        """The exit code, and stderr."""
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors

    def processes(self) -> list[psutil.Process]:
        """The processes that run in the home."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                found += [process] if process.environ().get("LUTHIER_HOME") == str(self.home) else []
        return found


@contextmanager
def starting(home: Path, *options: str) -> Iterator[tuple[Tune, socket.socket]]:
    """A `tune` whose servers wait for a database that accepts connections and sends nothing, and their connection to it."""
    with socket.create_server(("127.0.0.1", 0)) as database:
        database.settimeout(60)
        address = f"postgresql://someone@127.0.0.1:{database.getsockname()[1]}/luthier"
        tune = Tune(home, *options, DATABASE_URL=address)
        try:
            connection, _ = database.accept()
            with connection:
                connection.settimeout(60)
                yield tune, connection
        finally:
            tune.process.kill()
            tune.process.communicate()


@pytest.mark.parametrize(
    ("number", "options", "code", "word"),
    [
        (signal.SIGINT, (), 130, "Ctrl-C"),
        (signal.SIGTERM, ("--keep",), 143, "SIGTERM"),
        (signal.SIGHUP, (), 129, "SIGHUP"),
    ],
)
def test_a_signal_while_the_servers_start_stops_them_too(
    tmp_path: Path, number: signal.Signals, options: tuple[str, ...], code: int, word: str
) -> None:
    with starting(tmp_path, *options) as (tune, _):
        assert len(tune.processes()) == 2
        tune.process.send_signal(number)
        assert tune.end() == (code, f"Stopped by {word}.\n")
        assert tune.processes() == []


@pytest.mark.skipif(sys.platform != "linux", reason="there is no death signal elsewhere")
def test_after_kill_9_of_tune_the_servers_that_it_started_go_too(tmp_path: Path) -> None:
    with starting(tmp_path) as (tune, connection):
        started = tune.processes()
        tune.process.kill()
        while connection.recv(1024):
            pass  # the greeting; then `up` lets go
        _, alive = psutil.wait_procs(started, timeout=30)
        assert alive == []


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    folder = open_folder()
    yield folder / "home"
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_signal_while_the_model_is_trained_stops_everything(
    home: Path, number: signal.Signals, code: int, word: str
) -> None:
    tune = Tune(home)
    tune.until("rows are valid")  # what follows is the training
    tune.process.send_signal(number)
    assert tune.end() == (code, f"Stopped by {word}.\n")
    assert tune.processes() == []


def test_a_signal_waits_for_a_deferred_block_and_the_next_one_is_ignored() -> None:
    done = []

    def work(signals: SignalHandler) -> None:
        with signals.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("deferred")
        done.append("never")

    def interrupted(signals: SignalHandler) -> None:
        try:
            work(signals)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            done.append("cleaned up")

    with pytest.raises(Stopped, match=r"^Stopped by SIGTERM\.$") as caught, handle_signals() as handler:
        interrupted(handler)
    assert caught.value.exit_code == 143
    assert done == ["deferred", "cleaned up"]


def test_no_library_takes_a_signal_for_an_error_and_goes_on() -> None:
    def work() -> None:
        with suppress(Exception):  # as the libraries have it that try again
            os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it went on")

    with pytest.raises(Stopped, match=r"^Stopped by Ctrl-C\.$"), handle_signals():
        work()


def test_a_hangup_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handle_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
