"""The tests' hub answers `huggingface_hub` as the real one does."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import disable_progress_bars

from tests.fakes.hub import TOKEN, TOKEN_WITHOUT_ACCESS, Access, FakeHub, Files

FILES: Files = {
    "config.json": {"model_type": "llama"},
    "model.safetensors": b"weights",
    "sub/a b.txt": "text",
}
disable_progress_bars()


def snapshot(hub: FakeHub, model_id: str, folder: Path, **options: Any) -> dict[str, bytes]:
    path = Path(
        snapshot_download(
            model_id, endpoint=hub.url, cache_dir=folder, local_dir=folder / "files", token=False, **options
        )
    )
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and ".cache" not in file.parts
    }


def test_a_snapshot_has_the_files_of_its_commit(hub: FakeHub, tmp_path: Path) -> None:
    repository = hub.add("acme/small", FILES)
    first = repository.revision
    repository.commit({"config.json": b"{}"})
    assert snapshot(hub, "acme/small", tmp_path / "main") == {"config.json": b"{}"}
    assert snapshot(hub, "acme/small", tmp_path / "first", revision=first) == {
        "config.json": b'{"model_type": "llama"}',
        "model.safetensors": b"weights",
        "sub/a b.txt": b"text",
    }
    assert hub.requests[0].token is None


def test_a_repository_is_described_with_its_files(hub: FakeHub) -> None:
    repository = hub.add(
        "gpt2", FILES, cardData={"license": "mit"}, safetensors={"parameters": {"F32": 7}, "total": 7}
    )
    info = HfApi(endpoint=hub.url, token=False).model_info("gpt2", files_metadata=True)
    assert (info.sha, info.gated, info.private) == (repository.revision, False, False)
    assert [(file.rfilename, file.size) for file in info.siblings or ()][1] == ("model.safetensors", 7)
    assert info.safetensors is not None
    assert (info.safetensors.total, info.card_data and info.card_data.license) == (7, "mit")


def test_a_part_of_a_file_is_served(hub: FakeHub) -> None:
    hub.add("acme/small", FILES)
    url = f"{hub.url}/acme/small/resolve/main/model.safetensors"
    response = httpx2.get(url, headers={"Range": "bytes=2-4"})
    assert (response.status_code, response.content, response.headers["Content-Range"]) == (
        206,
        b"igh",
        "bytes 2-4/7",
    )


@pytest.mark.parametrize(
    ("access", "token", "error"),
    [
        (Access.GATED, False, GatedRepoError),
        (Access.GATED, TOKEN_WITHOUT_ACCESS, GatedRepoError),
        (Access.PRIVATE, False, RepositoryNotFoundError),
        (Access.PRIVATE, TOKEN_WITHOUT_ACCESS, RepositoryNotFoundError),
        (Access.PUBLIC, "hf_revoked", HfHubHTTPError),
    ],
)
def test_a_token_without_access_is_refused(
    hub: FakeHub, tmp_path: Path, access: Access, token: str | bool, error: type[Exception]
) -> None:
    hub.add("acme/closed", FILES, access=access)
    with pytest.raises(error):
        hf_hub_download("acme/closed", "config.json", endpoint=hub.url, cache_dir=tmp_path, token=token)
    path = hf_hub_download("acme/closed", "config.json", endpoint=hub.url, cache_dir=tmp_path, token=TOKEN)
    assert Path(path).read_text() == '{"model_type": "llama"}'


def test_what_is_not_there_is_named(hub: FakeHub, tmp_path: Path) -> None:
    hub.add("acme/small", FILES)
    options: dict[str, Any] = {"endpoint": hub.url, "cache_dir": tmp_path, "token": False}
    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download("acme/other", "config.json", **options)
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download("acme/small", "config.json", revision="f" * 40, **options)
    with pytest.raises(RemoteEntryNotFoundError):
        hf_hub_download("acme/small", "other.json", **options)


def test_a_body_is_lost_in_the_middle(hub: FakeHub) -> None:
    hub.add("acme/small", FILES)
    hub.truncated.add("model.safetensors")
    with pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(f"{hub.url}/acme/small/resolve/main/model.safetensors")
    assert httpx2.get(f"{hub.url}/acme/small/resolve/main/config.json").status_code == 200


def test_a_hub_is_out_of_order_slow_or_elsewhere(hub: FakeHub) -> None:
    hub.add("acme/small", FILES)
    url = f"{hub.url}/api/models/acme/small"
    hub.redirects["acme/small"] = "http://elsewhere.test/"
    assert httpx2.get(url).headers["location"] == "http://elsewhere.test/"
    hub.stalled.add("acme/small")
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(url, timeout=0.1)
    hub.released.set()
    hub.status = 503
    assert httpx2.get(url).status_code == 503
