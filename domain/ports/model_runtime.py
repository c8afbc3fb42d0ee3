"""Model runtime: the port to the server that loads models and speaks the OpenAI protocol."""

from dataclasses import dataclass
from typing import Protocol

from domain.deployments import ModelCapability


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A GGUF file in object storage. `model_id`, the fine-tune's id, identifies the model in the runtime."""

    model_id: str
    s3_key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Address of an OpenAI-compatible server, and the name of a model there.

    `base_url` ends before `/chat/completions` (`http://127.0.0.1:41234/v1`). `capabilities` is None where the
    server does not say what the model can do. `is_embedded` is true of the embedded runtime's llama.cpp, which reads
    control tokens wherever a message spells one.
    """

    base_url: str
    model: str
    api_key: str | None = None
    capabilities: frozenset[ModelCapability] | None = None
    is_embedded: bool = False


NO_PLACE = "NO_PLACE"
"""The reason of an `Unavailable` where the runtime is well, but has no room for the model now."""


class ModelRuntime(Protocol):
    """Loads models and resolves their addresses."""

    async def upstream(self, model: ModelFile | str) -> Upstream:
        """The address of a model, which is loaded first when it is not loaded.

        A `str` is the name of a model of the runtime's own. Raises `Invalid` when the file is
        damaged or the name unknown, `Unavailable` when the runtime does not answer.
        """
        ...

    def invalidate(self, model_id: str) -> None:
        """Drop the cached address of a model, which turned out to be stale."""
        ...

    async def remove(self, model_id: str) -> None:
        """Unload a model and delete its local copy. Unknown ids are ignored. Raises `Unavailable`."""
        ...

    async def health(self) -> str:
        """`connected`, or why not in a few words. Never raises."""
        ...
