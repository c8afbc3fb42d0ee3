import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from domain.deployments import ModelCapability
from domain.errors import Invalid, Unavailable
from domain.ports.model_runtime import ModelFile
from infra.runtime import _capabilities
from infra.runtime.remote import RemoteRuntime
from tests.infra.runtime.folder import FolderStorage, model_file
from tests.rest.gateway_fakes import serving

pytestmark = pytest.mark.anyio

TOOLS, STRUCTURED_OUTPUT = ModelCapability.TOOLS, ModelCapability.STRUCTURED_OUTPUT
REASONING, EMBEDDINGS = ModelCapability.REASONING, ModelCapability.EMBEDDINGS
KEY = "remote-key"


class Server:
    """A model server with some models; more can be installed where it is Ollama."""

    def __init__(self) -> None:
        self.models = ["llama3.2:latest"]
        self.blobs: dict[str, int] = {}
        self.largest_chunk = 0
        self.refusal: Response | None = None
        self.owner = "library"
        self.capabilities: object = ["completion", "tools", "insert"]
        self.caps: object = {"supports_tools": True, "supports_tool_calls": True}
        self.descriptions: list[str] = []
        self.silent = asyncio.Event()
        self.silent.set()

    async def list(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"message": "who are you?"}}, 401)
        return self.refusal or JSONResponse(
            {"object": "list", "data": [{"id": name, "owned_by": self.owner} for name in self.models]}
        )

    async def show(self, request: Request) -> Response:
        name = (await request.json())["model"]
        self.descriptions.append(name)
        await self.silent.wait()
        if name not in self.models and f"{name}:latest" not in self.models:
            return JSONResponse({"error": f"model '{name}' not found"}, 404)
        return JSONResponse(
            {
                "template": "{{ .Prompt }}",
                "capabilities": self.capabilities,
                "modified_at": "2026-01-01T00:00:00Z",
            }
        )

    async def props(self, request: Request) -> Response:
        self.descriptions.append(request.query_params["model"])
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"message": "who are you?"}}, 401)
        return JSONResponse({"chat_template": "{{ messages }}", "chat_template_caps": self.caps})

    async def imitated_show(self, _: Request) -> Response:
        return JSONResponse({"capabilities": ["completion"], "modified_at": ""})

    async def version(self, _: Request) -> Response:
        return JSONResponse({"version": "0.13.0"})

    async def blob(self, request: Request) -> Response:
        digest = request.path_params["digest"]
        if request.method == "HEAD":
            return Response(status_code=200 if digest in self.blobs else 404)
        hashed, size = hashlib.sha256(), 0
        async for chunk in request.stream():
            hashed.update(chunk)
            size += len(chunk)
            self.largest_chunk = max(self.largest_chunk, len(chunk))
        if f"sha256:{hashed.hexdigest()}" != digest:
            return JSONResponse({"error": "digest mismatch"}, 400)
        self.blobs[digest] = size
        return Response(status_code=201)

    async def create(self, request: Request) -> Response:
        body = await request.json()
        if not set(body["files"].values()) <= set(self.blobs):
            return JSONResponse({"error": "no such blob"}, 400)
        self.models.append(f"{body['model']}:latest")
        return JSONResponse({"status": "success"})

    async def delete(self, request: Request) -> Response:
        name = (await request.json())["model"] + ":latest"
        if name not in self.models:
            return JSONResponse({"error": "not found"}, 404)
        self.models.remove(name)
        return Response()

    def app(self, kind: str) -> Starlette:
        llama_cpp = [
            Route("/props", self.props),
            Route("/api/show", self.imitated_show, methods=["POST"]),
        ]
        ollama = [
            Route("/api/show", self.show, methods=["POST"]),
            Route("/api/version", self.version),
            Route("/api/blobs/{digest}", self.blob, methods=["HEAD", "POST"]),
            Route("/api/create", self.create, methods=["POST"]),
            Route("/api/delete", self.delete, methods=["DELETE"]),
        ]
        own = {"ollama": ollama, "llama.cpp": llama_cpp}.get(kind, [])
        return Starlette(routes=[Route("/v1/models", self.list), *own])


@dataclass
class RemoteSetup:
    server: Server
    url: str
    runtime: RemoteRuntime
    model: ModelFile


async def _setup(tmp_path: Path, kind: str) -> AsyncIterator[RemoteSetup]:
    (tmp_path / "finetune_a.gguf").write_bytes(b"GGUF" + bytes(100_000))
    storage, server = FolderStorage(tmp_path), Server()
    async with serving(server.app(kind)) as url:
        runtime = RemoteRuntime(f"{url}/v1", KEY, storage.port)
        yield RemoteSetup(server, f"{url}/v1", runtime, model_file(storage, "finetune_a"))
        await runtime.aclose()


@pytest.fixture
async def ollama(tmp_path: Path) -> AsyncIterator[RemoteSetup]:
    async for setup in _setup(tmp_path, "ollama"):
        yield setup


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[RemoteSetup]:
    async for setup in _setup(tmp_path, "other"):
        yield setup


@pytest.fixture
async def llama_cpp(tmp_path: Path) -> AsyncIterator[RemoteSetup]:
    async for setup in _setup(tmp_path, "llama.cpp"):
        setup.server.owner = "llamacpp"
        yield setup


@pytest.mark.parametrize("name", ["llama3.2", "llama3.2:latest"])
async def test_a_model_of_the_server_is_addressed_by_its_name(ollama: RemoteSetup, name: str) -> None:
    upstream = await ollama.runtime.upstream(name)

    assert (upstream.base_url, upstream.model, upstream.api_key) == (ollama.url, name, KEY)


async def test_a_name_that_the_server_does_not_know_is_invalid(ollama: RemoteSetup) -> None:
    with pytest.raises(Invalid, match="no model 'gpt'"):
        await ollama.runtime.upstream("gpt")


async def test_a_fine_tune_is_installed_into_ollama_in_chunks_and_once(ollama: RemoteSetup) -> None:
    upstream = await ollama.runtime.upstream(ollama.model)
    ollama.runtime.invalidate(ollama.model.model_id)
    await ollama.runtime.upstream(ollama.model)

    assert upstream.model == "finetune_a"
    assert ollama.server.models == ["llama3.2:latest", "finetune_a:latest"]
    assert ollama.server.blobs == {f"sha256:{ollama.model.sha256}": 100_004}
    assert ollama.server.largest_chunk < 100_000


async def test_the_error_of_ollama_for_a_damaged_file_is_passed_on(ollama: RemoteSetup) -> None:
    with pytest.raises(Unavailable, match="answered 400: digest mismatch"):
        await ollama.runtime.upstream(replace(ollama.model, sha256="0" * 64))


async def test_a_fine_tune_is_removed_from_ollama_and_an_unknown_one_is_ignored(ollama: RemoteSetup) -> None:
    await ollama.runtime.upstream(ollama.model)

    await ollama.runtime.remove(ollama.model.model_id)
    await ollama.runtime.remove(ollama.model.model_id)

    assert ollama.server.models == ["llama3.2:latest"]


async def test_another_server_has_the_fine_tune_under_its_id(other: RemoteSetup) -> None:
    other.server.models.append("finetune_a")

    assert (await other.runtime.upstream(other.model)).model == "finetune_a"


async def test_a_model_of_the_same_file_name_is_not_mistaken_for_the_fine_tune(other: RemoteSetup) -> None:
    other.server.models += ["my_model", "my_model.gguf"]
    model = replace(other.model, s3_key="finetunes/finetune_a/my_model.gguf")

    with pytest.raises(Invalid, match="does not have this model"):
        await other.runtime.upstream(model)


async def test_another_server_without_the_fine_tune_is_an_error_that_says_what_to_do(
    other: RemoteSetup,
) -> None:
    with pytest.raises(
        Invalid, match=r"load finetune_a\.gguf into it under the name finetune_a, or use Ollama"
    ):
        await other.runtime.upstream(other.model)

    await other.runtime.remove(other.model.model_id)


async def test_a_wrong_api_key_and_an_unknown_protocol_are_unavailable(
    other: RemoteSetup, tmp_path: Path
) -> None:
    unauthorized = RemoteRuntime(other.url, None, FolderStorage(tmp_path).port)
    assert await other.runtime.health() == "connected"
    assert await unauthorized.health() == "The model server answered 401: who are you."
    await unauthorized.aclose()
    other.server.refusal = JSONResponse(["not", "openai"])

    with pytest.raises(Unavailable, match="does not speak the OpenAI protocol"):
        await other.runtime.upstream("llama3.2")


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    runtime = RemoteRuntime("http://127.0.0.1:1/v1", KEY, FolderStorage(tmp_path).port)

    with pytest.raises(Unavailable, match="does not answer"):
        await runtime.upstream("llama3.2")

    assert "does not answer" in await runtime.health()
    await runtime.aclose()


async def test_upstreams_are_cached_until_they_are_forgotten(other: RemoteSetup) -> None:
    await other.runtime.upstream("llama3.2")
    other.server.models.clear()
    await other.runtime.upstream("llama3.2")

    other.runtime.invalidate("llama3.2")

    with pytest.raises(Invalid):
        await other.runtime.upstream("llama3.2")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["completion", "tools", "insert"], {STRUCTURED_OUTPUT, TOOLS}),
        (["completion", "vision", "thinking"], {STRUCTURED_OUTPUT, REASONING}),
        (["embedding"], {EMBEDDINGS}),
        ([], None),
        (None, None),
        ([{"name": "tools"}], set()),
    ],
)
async def test_ollama_names_the_capabilities_of_a_model(
    ollama: RemoteSetup, names: object, expected: set[ModelCapability] | None
) -> None:
    ollama.server.capabilities = names

    assert (await ollama.runtime.upstream("llama3.2")).capabilities == expected


async def test_the_capabilities_of_a_fine_tune_are_read_once_it_is_installed(ollama: RemoteSetup) -> None:
    upstream = await ollama.runtime.upstream(ollama.model)

    assert upstream.capabilities == frozenset({STRUCTURED_OUTPUT, TOOLS})


@pytest.mark.parametrize(
    ("caps", "expected"),
    [
        ({"supports_tools": True, "supports_tool_calls": True}, {STRUCTURED_OUTPUT, TOOLS}),
        ({"supports_tools": True, "supports_tool_calls": False}, {STRUCTURED_OUTPUT}),
        (
            {"supports_tools": False, "supports_tool_calls": False, "supports_preserve_reasoning": True},
            {STRUCTURED_OUTPUT, REASONING},
        ),
        ({"supports_system_role": True}, None),
        (None, None),
    ],
)
async def test_a_llama_cpp_server_describes_the_chat_template(
    llama_cpp: RemoteSetup, caps: object, expected: set[ModelCapability] | None
) -> None:
    llama_cpp.server.caps = caps

    assert (await llama_cpp.runtime.upstream("llama3.2")).capabilities == expected
    assert llama_cpp.server.descriptions == ["llama3.2"]


async def test_an_imitation_of_ollama_does_not_say_what_a_model_can_do(llama_cpp: RemoteSetup) -> None:
    llama_cpp.server.owner = "a proxy"

    assert (await llama_cpp.runtime.upstream("llama3.2")).capabilities is None


async def test_the_capabilities_on_any_other_server_are_unknown(other: RemoteSetup) -> None:
    assert (await other.runtime.upstream("llama3.2")).capabilities is None


async def test_capabilities_are_asked_for_once_for_a_cached_model(ollama: RemoteSetup) -> None:
    await asyncio.gather(*(ollama.runtime.upstream("llama3.2") for _ in range(5)))
    await ollama.runtime.upstream("llama3.2")

    assert ollama.server.descriptions == ["llama3.2"]


async def test_a_server_that_does_not_describe_its_model_in_time_serves_it(
    ollama: RemoteSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_capabilities, "TIMEOUT_S", 0.05)
    ollama.server.silent.clear()

    upstream = await ollama.runtime.upstream("llama3.2")

    assert (upstream.model, upstream.capabilities) == ("llama3.2", None)
    ollama.server.silent.set()
