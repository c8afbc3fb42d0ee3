"""Runs `luthier up` in a process of its own, with small programs in the place of our parts."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

OUR_VARIABLES = ("DATABASE_URL", "S3_", "AWS_", "LLM_", "LUTHIER_", "SECRET_KEY", "APP_EXTERNAL_API_KEY")
# `luthier up` before there is a command line: argv is HOME, PORT and the path of the program below.
UP = """
import asyncio, functools, logging, os, sys
from pathlib import Path
from app.local.servers import Commands, up
from app.failures import StartError

home, port, fake = sys.argv[1:]
play = lambda part: (sys.executable, "-I", "-S", fake, part, home)
commands = Commands(runtime=play("runtime"), migrate=play("migrate"), api=play("api"), worker=play("worker"))
logging.basicConfig(format="%(message)s", stream=sys.stdout)
announce = functools.partial(print, flush=True)
try:
    code = asyncio.run(up(Path(home), port=int(port), environ=os.environ, announce=announce, commands=commands))
except StartError as error:
    sys.exit((print(error, file=sys.stderr), error.exit_code)[1])
sys.exit(code)
"""

# Plays each part of ours: PART HOME [--port PORT]. The API and the runtime answer with their environment.
FAKE = """
import http.server, json, os, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(dict(os.environ)).encode())

part = sys.argv[1]
if part == "migrate":
    sys.exit(0 if os.environ["DATABASE_URL"] else "no database")
if part == "worker":
    open(os.environ["LUTHIER_READY_FILE"], "w").close()
    signal.pause()
port = sys.argv[-1] if part == "api" else os.environ["LUTHIER_RUNTIME_URL"].rpartition(":")[2]
http.server.HTTPServer.allow_reuse_address = True
http.server.HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""


@dataclass
class Running:
    """A `luthier up` in a process of its own."""

    home: Path
    process: subprocess.Popen[str]

    @property
    def output(self) -> IO[str]:
        assert self.process.stdout
        return self.process.stdout

    def until(self, word: str) -> str:
        """The first further line of output that contains `word`; fails with stderr where the output ends before."""
        for line in self.output:
            if word in line:
                return line.strip()
        raise AssertionError(self.errors())

    def stop(self, *numbers: signal.Signals) -> int:
        for number in numbers:
            self.process.send_signal(number)
        return self.process.wait(30)

    def errors(self) -> str:
        assert self.process.stderr
        return self.process.stderr.read().strip()

    def child(self, name: str) -> psutil.Process:
        """The child process with this executable."""
        (found,) = [child for child in psutil.Process(self.process.pid).children() if child.name() == name]
        return found


def open_folder() -> Path:
    """A folder with a short path that PostgreSQL's own user may enter too: tmp_path is neither."""
    folder = Path(tempfile.mkdtemp(prefix="luthier-test-"))
    folder.chmod(0o711)
    (folder / "fake.py").write_text(FAKE)
    return folder


@contextmanager
def up(home: Path, *, port: int = 0, environ: Mapping[str, str] | None = None) -> Iterator[Running]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OUR_VARIABLES)}
    command = (sys.executable, "-c", UP, str(home), str(port), str(home / "fake.py"))
    with subprocess.Popen(
        command, env=clean | dict(environ or {}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Running(home, process)
        finally:
            process.kill()


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process with this home in its command line or as its working folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            places = [*process.cmdline(), process.cwd()]
            found += [process] if any(str(home) in place for place in places) else []
    return found


def refusal(home: Path, **how: Any) -> tuple[int, str]:
    """The exit code and stderr of an `up` that does not start."""
    with up(home, **how) as running:
        return running.process.wait(30), running.errors()
