import json
import os
import shutil
import signal
import socket
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import psutil
import psycopg
import pytest
from botocore.config import Config
from mypy_boto3_s3 import S3Client

from app.failures import StartError
from app.local.home import Home, free_port
from app.local.postgres import database_url, socket_folder
from app.local.servers import Commands, servers
from tests.app.running import open_folder, processes_of, refusal, up

pytestmark = pytest.mark.anyio

CONSOLE = "http://localhost:8000"


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """One home for all the trees: the database in it is made once."""
    folder = open_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def environment(home: Path) -> AsyncIterator[dict[str, str]]:
    async with servers(home, durable=False) as environment:
        yield environment


def ask(
    url: str, method: str = "GET", *, data: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Any:
    request = urllib.request.Request(url, data, dict(headers or {}), method=method)  # noqa: S310  # a server of this test
    return urllib.request.urlopen(request, timeout=10)  # noqa: S310


def s3_client(environment: Mapping[str, str]) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=environment["S3_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def presigned_put(environment: Mapping[str, str]) -> str:
    place = {"Bucket": environment["S3_BUCKET"], "Key": "documents/a.txt"}
    return s3_client(environment).generate_presigned_url("put_object", Params=place, ExpiresIn=60)


def connect(environment: Mapping[str, str]) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(environment["DATABASE_URL"].replace("+psycopg", ""), autocommit=True)


async def test_the_servers_alone_keep_rows_and_objects_and_leave_nothing_behind(home: Path) -> None:
    async with servers(home, durable=False) as environment:
        with connect(environment) as database:
            database.execute("create extension vector")
            database.execute("create table kept as select 'grün' as word")
            (connections,) = database.execute("show max_connections").fetchall()
        s3_client(environment).put_object(Bucket="luthier", Key="a", Body=b"kept")
    assert processes_of(home) == []
    async with servers(home, durable=False) as again:
        assert again == environment
        with connect(again) as database:
            assert database.execute("table kept").fetchall() == [("grün",)]
        assert s3_client(again).get_object(Bucket="luthier", Key="a")["Body"].read() == b"kept"
    assert connections == ("200",)


async def test_a_browser_may_put_a_file_by_a_presigned_url(environment: dict[str, str]) -> None:
    url = presigned_put(environment)
    origin = {"Origin": CONSOLE}
    preflight_headers = {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type",
    }
    preflight = ask(url, "OPTIONS", headers=origin | preflight_headers)
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "PUT" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Content-Type" in preflight.headers["Access-Control-Allow-Headers"]
    put = ask(url, "PUT", data=b"hello", headers=origin | {"Content-Type": "text/plain"})
    assert put.headers["Access-Control-Expose-Headers"] == "ETag"
    stored = s3_client(environment).get_object(Bucket="luthier", Key="documents/a.txt", Range="bytes=1-3")
    assert stored["Body"].read() == b"ell"


async def test_the_storage_refuses_a_wrong_signature(environment: dict[str, str]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        ask(presigned_put(environment | {"AWS_SECRET_ACCESS_KEY": "guessed"}), "PUT", data=b"hello")


async def test_secrets_are_private_made_once_and_in_no_command_line(
    home: Path, environment: dict[str, str]
) -> None:
    path = home / "secrets.json"
    secrets = json.loads(path.read_text())
    assert path.stat().st_mode & 0o777 == 0o600
    assert secrets["secret_key"] == environment["SECRET_KEY"]
    commands = "\n".join(" ".join(process.cmdline()) for process in processes_of(home))
    assert "rclone serve s3" in commands
    assert not [value for value in secrets.values() if isinstance(value, str) and value in commands]


async def test_a_home_with_a_long_path_has_its_socket_in_a_short_one() -> None:
    folder = open_folder()
    home = Home(folder / ("x" * 90))
    async with servers(home.folder, durable=False) as environment:
        short = socket_folder(home)
        assert short.stat().st_mode & 0o777 == 0o700
        with connect(environment) as database:
            assert database.execute("select 1").fetchall() == [(1,)]
    assert not short.exists()
    assert str(home.run) not in environment["DATABASE_URL"]
    shutil.rmtree(folder)


def test_up_passes_the_whole_environment_to_its_children_and_prints_its_url(home: Path) -> None:
    with up(home, environ={"AWS_SESSION_TOKEN": "the user's own", "DATABASE_URL": ""}) as running:
        url = running.until("http")
        assert json.loads((home / "up.json").read_text()) == {"pid": running.process.pid, "url": url}
        environment = json.load(ask(f"{url}/health"))
        runtime = json.load(ask(f"{environment['LUTHIER_RUNTIME_URL']}/health"))
        assert runtime["LUTHIER_RUNTIME_TOKEN"] == environment["LUTHIER_RUNTIME_TOKEN"] != ""
        assert environment["LUTHIER_HOME"] == str(home)
        assert environment["RATE_LIMITS"] == "off"
        assert "AWS_SESSION_TOKEN" not in environment
        assert ask(presigned_put(environment), "PUT", data=b"hello").status == 200
        with connect(environment) as database:
            assert database.execute("select 1").fetchall() == [(1,)]
        assert running.stop(signal.SIGTERM) == 0
    assert processes_of(home) == []
    assert not (home / "up.json").exists()


def test_ctrl_c_twice_stops_it_all_in_order(home: Path) -> None:
    with up(home) as running:
        running.until("http")
        assert running.stop(signal.SIGINT, signal.SIGINT) == 0
        assert running.errors() == ""
    assert processes_of(home) == []
    assert "database system is shut down" in Home(home).log("postgres").read_text()


def test_a_second_up_on_the_same_home_is_refused_and_the_first_goes_on(home: Path) -> None:
    with up(home) as first:
        url = first.until("http")
        message = f"luthier is already up on {home} (process {first.process.pid})"
        assert refusal(home) == (3, message)
        assert ask(f"{url}/health").status == 200
        assert first.stop(signal.SIGTERM) == 0


def test_after_kill_9_of_up_nothing_stays_and_the_next_one_works(home: Path) -> None:
    with up(home) as killed:
        url = killed.until("http")
        children = psutil.Process(killed.process.pid).children()
        assert len(children) == 5
        killed.stop(signal.SIGKILL)
    if sys.platform == "linux":  # elsewhere it is the next start that stops them
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
    with up(home, port=int(url.rpartition(":")[2])) as following:
        assert following.until("http") == url
        assert following.stop(signal.SIGTERM) == 0
    assert processes_of(home) == []


def test_kill_9_of_the_storage_is_recovered(home: Path) -> None:
    with up(home) as running:
        url = running.until("http")
        running.child("rclone").kill()
        assert running.until("started again") == "s3 stopped (signal 9) and is started again in 0.4 s"
        assert running.until("up again") == "s3 is up again"
        environment = json.load(ask(f"{url}/health"))
        assert ask(presigned_put(environment), "PUT", data=b"hello").status == 200
        assert running.stop(signal.SIGTERM) == 0


async def test_kill_9_of_the_database_stops_it_all_and_the_next_start_recovers(home: Path) -> None:
    with up(home) as running:
        running.until("http")
        running.child("postgres").kill()
        assert running.process.wait(30) == 1
        assert running.errors().startswith("postgres died (signal 9), so everything was stopped")
    assert processes_of(home) == []
    async with servers(home) as environment:
        with connect(environment) as database:
            assert database.execute("select 1").fetchall() == [(1,)]


async def test_what_the_user_names_is_not_started(environment: dict[str, str]) -> None:
    other = open_folder()
    own = environment | {"LLM_BASE_URL": "http://127.0.0.1:1/v1", "RATE_LIMITS": "documented"}
    with up(other, environ=own) as running:
        seen = json.load(ask(running.until("http")))
        assert own.items() <= seen.items()
        assert len(psutil.Process(running.process.pid).children()) == 2
        assert "LUTHIER_RUNTIME_URL" not in seen
        assert running.stop(signal.SIGTERM) == 0
    shutil.rmtree(other)


def test_a_port_that_is_taken_is_one_sentence(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        assert refusal(home, port=port) == (1, f"port {port} is taken: choose another with --port")
    assert refusal(home, port=70000) == (1, "port 70000 cannot be listened on: choose another with --port")


def test_a_database_that_does_not_answer_is_one_sentence_without_its_password(home: Path) -> None:
    unreachable = f"postgresql+psycopg://someone:hidden@127.0.0.1:{free_port(0)}/luthier"
    code, sentence = refusal(home, environ={"DATABASE_URL": unreachable})
    assert code == 1
    assert sentence.startswith("the database of DATABASE_URL does not answer: connection failed")
    assert "\n" not in sentence
    assert "hidden" not in sentence


def test_a_database_of_another_kind_is_one_sentence(home: Path) -> None:
    outcome = refusal(home, environ={"DATABASE_URL": "mysql://someone:hidden@there/luthier"})
    assert outcome == (1, "DATABASE_URL must begin with postgresql://")


async def test_a_home_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"^LUTHIER_HOME .*/file/home cannot be written: Not a directory$"):
        await servers(tmp_path / "file" / "home").__aenter__()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
async def test_a_home_where_the_database_s_user_cannot_go_is_one_sentence(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(StartError, match=r"as the user \w+, who cannot enter /"):
        await servers(private / "home").__aenter__()


def test_the_address_of_the_database_survives_odd_characters_in_the_home() -> None:
    url = database_url(Home(Path("/a b/ü?&")))
    assert url == "postgresql+psycopg://luthier@/luthier?host=%2Fa%20b%2F%C3%BC%3F%26%2Frun&port=5432"


def test_our_own_programs_are_run_wherever_the_user_stands() -> None:
    commands = Commands()
    assert {commands.api[1:3], commands.worker[1:3], commands.migrate[1:3], commands.runtime[1:3]} == {
        ("-P", "-m")
    }
