"""Where models are loaded and asked: the port to whatever speaks the OpenAI protocol."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A GGUF in object storage. `model_id` is the fine-tune's id: a runtime knows a model by nothing else."""

    model_id: str
    s3_key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Where to send an OpenAI request, and under which model name.

    `base_url` ends before `/chat/completions` (`http://127.0.0.1:41234/v1`).
    """

    base_url: str
    model: str
    api_key: str | None = None


class ModelRuntime(Protocol):
    """Loads models and says where they answer."""

    async def upstream(self, model: ModelFile | str) -> Upstream:
        """Where `model` answers, loading it first when it is not loaded.

        A `str` is the name of a model that the runtime already has. Raises `Invalid` when the file is
        damaged or the name unknown, `Unavailable` when the runtime does not answer.
        """
        ...

    def forget(self, model_id: str) -> None:
        """Ask the runtime again the next time: the last answer turned out to be stale."""
        ...

    async def remove(self, model_id: str) -> None:
        """Unload a model and drop its local copy. Unknown ids are ignored."""
        ...

    async def health(self) -> str:
        """`connected`, or why not in a few words. Never raises."""
        ...
