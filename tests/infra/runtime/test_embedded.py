import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from openai import AsyncOpenAI

from domain.deployments import ModelCapability
from domain.errors import Invalid, Unavailable
from domain.ports.gateway import Route
from domain.ports.model_runtime import NO_PLACE, ModelFile, Upstream
from infra.runtime import _capabilities
from infra.runtime._loaded_models import LoadedModels
from infra.runtime.embedded import EmbeddedRuntime
from infra.runtime.server import app
from rest.gateway import Gateway
from tests.infra.runtime import tiny
from tests.infra.runtime.folder import FolderStorage, model_file
from tests.infra.runtime.tiny import PLAIN_TEMPLATE, TOOL_TEMPLATE, write_model
from tests.rest.gateway_fakes import CHAT_REQUEST, PROJECT, SECRET, FakeKeyTable, FakeLogWriter, serving

pytestmark = pytest.mark.anyio

REASONING, STRUCTURED_OUTPUT, TOOLS = (
    ModelCapability.REASONING,
    ModelCapability.STRUCTURED_OUTPUT,
    ModelCapability.TOOLS,
)
TOKEN = "runtime-token"
# The model's weights are random: it may generate its end token at any time.
FIVE_TOKENS: Any = {**CHAT_REQUEST, "max_tokens": 5, "extra_body": {"ignore_eos": True}}


@dataclass
class EmbeddedSetup:
    runtime: EmbeddedRuntime
    storage: FolderStorage
    copies: Path
    url: str

    def model(self, name: str = "finetune_a", *, context: int = 512) -> ModelFile:
        """A model in storage."""
        write_model(self.storage.folder / f"{name}.gguf", context=context, seed=len(name))
        return model_file(self.storage, name)

    async def complete(self, upstream: Upstream, **body: object) -> httpx.Response:
        """Have a model generate some tokens."""
        headers = {"authorization": f"Bearer {upstream.api_key}"}
        request = {"prompt": "a", "max_tokens": 4} | body
        async with httpx.AsyncClient() as client:
            return await client.post(f"{upstream.base_url}/completions", json=request, headers=headers)

    async def upstream_now(self, model: ModelFile) -> Upstream:
        """The address of a model, not from the cache."""
        self.runtime.invalidate(model.model_id)
        return await self.runtime.upstream(model)


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedSetup]:
    storage, copies = FolderStorage(tmp_path / "bucket"), tmp_path / "models"
    storage.folder.mkdir()
    models = LoadedModels(storage.port, copies, 2)
    async with serving(app(models, TOKEN)) as url:
        runtime = EmbeddedRuntime(url, TOKEN)
        yield EmbeddedSetup(runtime, storage, copies, url)
        await models.close()
        await runtime.aclose()
    assert processes() == []


def processes() -> list[psutil.Process]:
    """The model processes of this test."""
    return [child for child in psutil.Process().children() if "infra.runtime.model_server" in child.cmdline()]


async def test_a_model_is_loaded_once_and_answers_requests_with_its_key(embedded: EmbeddedSetup) -> None:
    model = embedded.model()

    upstreams = await asyncio.gather(*(embedded.runtime.upstream(model) for _ in range(5)))

    assert len(set(upstreams)) == 1
    assert len(processes()) == len(embedded.storage.downloads) == 1
    response = (await embedded.complete(upstreams[0])).json()
    assert (response["model"], response["usage"]["completion_tokens"]) == ("finetune_a", 4)
    assert (await embedded.complete(replace(upstreams[0], api_key="wrong"))).status_code == 401
    assert TOKEN not in str(processes()[0].cmdline() + list(processes()[0].environ().values()))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (TOOL_TEMPLATE, {TOOLS, STRUCTURED_OUTPUT}),
        (PLAIN_TEMPLATE, {STRUCTURED_OUTPUT}),
        (None, {STRUCTURED_OUTPUT}),
        (tiny.TOOLS + PLAIN_TEMPLATE, {STRUCTURED_OUTPUT}),  # no calls: llama.cpp ignores `tool_choice`
        (tiny.TOOL_CALLS, {STRUCTURED_OUTPUT}),  # no tools: the model would not see them
        (PLAIN_TEMPLATE + "<think>", {STRUCTURED_OUTPUT, REASONING}),
        (PLAIN_TEMPLATE + "{% if enable_thinking is false %}.{% endif %}", {STRUCTURED_OUTPUT, REASONING}),
        (
            TOOL_TEMPLATE + "{% for message in messages %}{{ message.reasoning_content }}{% endfor %}",
            {TOOLS, STRUCTURED_OUTPUT, REASONING},
        ),
    ],
)
async def test_what_a_model_can_do_is_read_from_its_chat_template(
    embedded: EmbeddedSetup, template: str | None, expected: set[ModelCapability]
) -> None:
    write_model(embedded.storage.folder / "finetune_a.gguf", template=template)

    upstream = await embedded.runtime.upstream(model_file(embedded.storage, "finetune_a"))

    assert upstream.capabilities == frozenset(expected)


async def test_a_model_is_served_though_its_process_does_not_describe_it(
    embedded: EmbeddedSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_capabilities, "TIMEOUT_S", 0.0)

    upstream = await embedded.runtime.upstream(embedded.model())

    assert upstream.capabilities is None
    assert (await embedded.complete(upstream)).status_code == 200


async def test_a_model_whose_process_died_is_started_again(embedded: EmbeddedSetup) -> None:
    model = embedded.model()
    before = await embedded.runtime.upstream(model)
    [process] = processes()
    process.kill()
    with pytest.raises(httpx.HTTPError):
        await embedded.complete(before)

    after = await embedded.upstream_now(model)

    assert (await embedded.complete(after)).status_code == 200
    assert len(embedded.storage.downloads) == 1


async def test_the_least_recently_requested_model_is_unloaded_for_a_third(embedded: EmbeddedSetup) -> None:
    first, second, third = (embedded.model(name) for name in ("a", "bb", "ccc"))
    addresses = [await embedded.runtime.upstream(first), await embedded.runtime.upstream(second)]
    await embedded.upstream_now(first)

    addresses.append(await embedded.runtime.upstream(third))

    assert len(processes()) == 2
    assert (await embedded.complete(addresses[0])).status_code == 200
    assert (await embedded.complete(addresses[2])).status_code == 200
    with pytest.raises(httpx.ConnectError):
        await embedded.complete(addresses[1])


async def test_a_busy_model_is_removed_at_once(embedded: EmbeddedSetup) -> None:
    model = embedded.model(context=4096)
    upstream = await embedded.runtime.upstream(model)
    headers = {"authorization": f"Bearer {upstream.api_key}"}
    body = {"prompt": "a", "max_tokens": 4000, "stream": True, "ignore_eos": True}
    url = f"{upstream.base_url}/completions"
    async with httpx.AsyncClient() as client, client.stream("POST", url, json=body, headers=headers) as busy:
        pieces = busy.aiter_raw()
        await anext(pieces)

        await asyncio.wait_for(embedded.runtime.remove(model.model_id), 5)

        with pytest.raises(httpx.HTTPError):
            [_ async for _ in pieces]
    assert processes() == []
    assert list(embedded.copies.iterdir()) == []


@pytest.mark.parametrize(
    "damage", ["empty", "text", "cut short", "no context", "no end of context", "no layers"]
)
async def test_a_file_that_cannot_be_loaded_is_one_sentence(embedded: EmbeddedSetup, damage: str) -> None:
    path = embedded.storage.folder / "finetune_x.gguf"
    context = {"no context": 0, "no end of context": 2**31}.get(damage, 512)
    raw = write_model(path, context=context, layers=0 if damage == "no layers" else 2).read_bytes()
    path.write_bytes({"empty": b"", "text": b"not a model" * 100, "cut short": raw[:-1000]}.get(damage, raw))

    with pytest.raises(Invalid, match="cannot be loaded: it is damaged"):
        await embedded.runtime.upstream(model_file(embedded.storage, "finetune_x"))

    assert processes() == []


async def test_a_file_that_is_not_the_recorded_one_is_refused_and_not_stored(embedded: EmbeddedSetup) -> None:
    model = replace(embedded.model(), sha256="0" * 64)

    with pytest.raises(Invalid, match="its SHA-256 is not the one recorded"):
        await embedded.runtime.upstream(model)

    assert list(embedded.copies.iterdir()) == []


async def test_a_file_that_is_missing_in_storage_is_one_sentence(embedded: EmbeddedSetup) -> None:
    with pytest.raises(Invalid, match="not in storage"):
        await embedded.runtime.upstream(replace(embedded.model(), s3_key="elsewhere.gguf"))


async def test_a_damaged_local_copy_is_downloaded_again(embedded: EmbeddedSetup) -> None:
    model = embedded.model()
    await embedded.runtime.upstream(model)
    [process] = processes()
    process.kill()
    copy = embedded.copies / "finetune_a.gguf"
    raw = bytearray(copy.read_bytes())
    raw[-1] ^= 1
    copy.write_bytes(raw)
    with pytest.raises(httpx.HTTPError):
        await embedded.complete(await embedded.runtime.upstream(model))

    after = await embedded.upstream_now(model)

    assert (await embedded.complete(after)).status_code == 200
    assert len(embedded.storage.downloads) == 2


async def test_a_full_disk_is_no_place_for_a_model(
    embedded: EmbeddedSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(FolderStorage, "download", fail)

    with pytest.raises(Unavailable, match="No space left on device") as refused:
        await embedded.runtime.upstream(embedded.model())
    assert refused.value.reason == NO_PLACE


async def test_an_unknown_name_and_a_malformed_id_are_invalid(embedded: EmbeddedSetup) -> None:
    with pytest.raises(Invalid, match="no model 'gpt'"):
        await embedded.runtime.upstream("gpt")
    with pytest.raises(Invalid, match="must be an id"):
        await embedded.runtime.upstream(replace(embedded.model(), model_id="../up"))
    await embedded.runtime.remove("finetune_unknown")


async def test_without_the_token_nothing_is_loaded(embedded: EmbeddedSetup) -> None:
    unauthorized = EmbeddedRuntime(embedded.url, "guess")

    with pytest.raises(Unavailable, match="401"):
        await unauthorized.upstream(embedded.model())

    assert await unauthorized.health() == "connected"
    await unauthorized.aclose()


async def test_a_runtime_that_is_not_there_is_unavailable(embedded: EmbeddedSetup) -> None:
    runtime = EmbeddedRuntime("http://127.0.0.1:1", TOKEN)

    with pytest.raises(Unavailable, match="does not answer"):
        await runtime.upstream(embedded.model())

    assert await runtime.health() == "the model runtime does not answer"
    await runtime.aclose()


class OneModel(FakeKeyTable):
    """Sends every request to one model."""

    def __init__(self, model: ModelFile) -> None:
        super().__init__()
        self.target = model

    async def route(self, project_id: str, secret: str, model_name: str) -> Route:
        return replace(await super().route(project_id, secret, model_name), target=self.target)


async def test_through_the_gateway_the_death_of_a_model_is_not_noticed(embedded: EmbeddedSetup) -> None:
    model, log_writer = embedded.model(), FakeLogWriter()
    gateway = Gateway(OneModel(model), embedded.runtime, log_writer)
    async with (
        serving(gateway) as url,
        AsyncOpenAI(base_url=f"{url}/public/{PROJECT}", api_key=SECRET) as openai,
    ):
        before = await openai.chat.completions.create(**FIVE_TOKENS)
        [process] = processes()
        process.kill()
        with pytest.raises(httpx.HTTPError):
            await embedded.complete(await embedded.runtime.upstream(model))

        chunks = await openai.chat.completions.create(**FIVE_TOKENS, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])
        await gateway.aclose()

    assert before.usage is not None
    first, second = await log_writer.next(), await log_writer.next()
    assert (first.status, first.completion_tokens, first.output) == (
        200,
        5,
        before.choices[0].message.content,
    )
    assert (second.status, second.completion_tokens, second.output) == (200, 5, text or None)


SERVE = """
import asyncio, sys
from pathlib import Path
from infra.runtime.server import serve
from rest.gateway import Gateway
from tests.infra.runtime.folder import FolderStorage
home = Path(sys.argv[1])
asyncio.run(serve(0, "t", FolderStorage(home).port, home / "copies", ready=home / "ready"))
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
async def test_no_model_outlives_its_runtime(tmp_path: Path, ending: signal.Signals) -> None:
    write_model(tmp_path / "finetune_a.gguf")
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, str(tmp_path), stdin=subprocess.DEVNULL
    )
    try:
        runtime = EmbeddedRuntime(await content_of(tmp_path / "ready", server), "t")
        await runtime.upstream(model_file(FolderStorage(tmp_path), "finetune_a"))
        [model] = psutil.Process(server.pid).children()
        server.send_signal(ending)

        await asyncio.wait_for(server.wait(), 10)

        assert await asyncio.to_thread(model.wait, 10) is None
        await runtime.aclose()
    finally:
        with suppress(ProcessLookupError):
            server.kill()


async def content_of(path: Path, by: asyncio.subprocess.Process) -> str:
    """The content of a file, once the process `by` has written it."""
    while not path.exists():  # noqa: ASYNC240 - a test's own file
        with suppress(TimeoutError):
            await asyncio.wait_for(by.wait(), 0.02)
            pytest.fail("the process ended before it was ready")
    return path.read_text()  # noqa: ASYNC240
