import json
import os
import socket
import stat
from pathlib import Path

import pytest

from app.failures import StartError
from app.local.home import free_port, lock_home, read_secrets, require_port


def test_a_new_home_is_private_and_its_secrets_are_read_by_their_owner_alone(tmp_path: Path) -> None:
    with lock_home(tmp_path / "home") as home:
        read_secrets(home)
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == (0o700 if os.geteuid() else 0o711)
    assert stat.S_IMODE((tmp_path / "home" / "secrets.json").stat().st_mode) == 0o600


def test_the_mode_of_a_folder_that_was_there_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    with lock_home(tmp_path):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_a_home_is_locked_by_one_until_it_is_released(tmp_path: Path) -> None:
    with lock_home(tmp_path), pytest.raises(StartError) as caught, lock_home(tmp_path):
        pass
    assert caught.value.message == f"luthier is already up on {tmp_path} (process {os.getpid()})"
    assert caught.value.exit_code == 3
    with lock_home(tmp_path) as home:
        assert home.folder == tmp_path


def test_secrets_are_made_once_and_what_a_later_version_adds_is_made_then(tmp_path: Path) -> None:
    with lock_home(tmp_path) as home:
        first = read_secrets(home)
        assert read_secrets(home) == first
        path = tmp_path / "secrets.json"
        older = json.loads(path.read_text())
        del older["runtime_token"]
        path.write_text(json.dumps(older))
        second = read_secrets(home)
    assert second.secret_key == first.secret_key
    assert second.runtime_token not in {"", first.runtime_token}


def test_a_port_that_somebody_took_is_chosen_anew_and_the_keys_stay(tmp_path: Path) -> None:
    with lock_home(tmp_path) as home:
        before = read_secrets(home)
        with socket.create_server(("127.0.0.1", before.s3_port)):
            after = read_secrets(home)
        assert after.s3_port not in {before.s3_port, after.runtime_port}
        assert after.secret_key == before.secret_key
        assert read_secrets(home, after.s3_port).s3_port != after.s3_port


def test_damaged_secrets_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    with lock_home(tmp_path) as home, pytest.raises(StartError, match=r"secrets.json cannot be read"):
        read_secrets(home)


def test_a_port_that_is_asked_for_is_given_or_refused() -> None:
    port = free_port(0)
    assert require_port(port) == port
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(StartError, match=rf"^port {port} is taken: choose another with --port$"),
    ):
        require_port(port)
    with pytest.raises(StartError, match=r"^port 70000 cannot be listened on"):
        require_port(70000)
