"""A model runtime that has every model, and completions that reverse their prompt."""

from domain.deployments import ModelCapability
from domain.errors import Invalid
from domain.ports.completions import Completion
from domain.ports.model_runtime import ModelFile, Upstream


class FakeRuntime:
    """Records what is loaded and removed; with `error` set, loading fails with that sentence."""

    def __init__(self) -> None:
        self.base_url = "http://models.test/v1"
        self.loaded: list[ModelFile | str] = []
        self._cached: set[str] = set()
        self.removed: list[str] = []
        self.error: str | None = None
        self.capabilities: frozenset[ModelCapability] | None = None

    async def upstream(self, model: ModelFile | str) -> Upstream:
        """The address of the model."""
        if self.error is not None:
            raise Invalid(self.error, reason="MODEL_DAMAGED")
        name = model if isinstance(model, str) else model.model_id
        if name not in self._cached:
            self.loaded.append(model)
            self._cached.add(name)
        return Upstream(base_url=self.base_url, model=name, capabilities=self.capabilities)

    def invalidate(self, model_id: str) -> None:
        """Have the model loaded again the next time."""
        self._cached.discard(model_id)

    async def remove(self, model_id: str) -> None:
        """Record the removal."""
        self.removed.append(model_id)

    async def health(self) -> str:
        """Always `connected`."""
        return "connected"


class FakeCompletions:
    """Completes every prompt with its characters in reverse."""

    async def complete(
        self,
        upstream: Upstream,  # noqa: ARG002 - every model answers alike
        prompt: str,
        *,
        max_tokens: int | None,  # noqa: ARG002
        temperature: float | None,  # noqa: ARG002
    ) -> Completion:
        """The prompt in reverse."""
        return Completion(prompt[::-1], len(prompt.split()), 1)
