"""A model runtime that has every model, and says the same to whatever it is asked."""

from domain.errors import Invalid
from domain.ports.completions import Completion
from domain.ports.model_runtime import ModelFile, Upstream


class FakeRuntime:
    """Remembers what it was asked for; `refuse` makes it refuse with that sentence. Models are at `base_url`."""

    def __init__(self) -> None:
        self.base_url = "http://models.test/v1"
        self.loaded: list[ModelFile | str] = []
        self.removed: list[str] = []
        self.refuse: str | None = None

    async def upstream(self, model: ModelFile | str) -> Upstream:
        """Where the model would answer."""
        if self.refuse is not None:
            raise Invalid(self.refuse, reason="MODEL_DAMAGED")
        self.loaded.append(model)
        name = model if isinstance(model, str) else model.model_id
        return Upstream(base_url=self.base_url, model=name)

    def forget(self, model_id: str) -> None:
        """Nothing is cached."""

    async def remove(self, model_id: str) -> None:
        """Unload."""
        self.removed.append(model_id)

    async def health(self) -> str:
        """Always well."""
        return "connected"


class FakeCompletions:
    """Answers every prompt with itself, backwards."""

    async def complete(
        self,
        upstream: Upstream,  # noqa: ARG002 - any model says the same
        prompt: str,
        *,
        max_tokens: int | None,  # noqa: ARG002
        temperature: float | None,  # noqa: ARG002
    ) -> Completion:
        """The prompt backwards."""
        return Completion(prompt[::-1], len(prompt.split()), 1)
