"""One completion from a model: the port to an OpenAI-compatible server, off the gateway's hot path."""

from dataclasses import dataclass
from typing import Protocol

from domain.errors import Invalid, Unavailable
from domain.ports.model_runtime import Upstream
from domain.rules import bounded, within

MAX_TOKENS = 4096
DEFAULT_TOKENS = 512
"""Where the caller names no limit: a model that never ends its answer would go on until its context is full."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's answer and its tokens."""

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(frozen=True, slots=True)
class Question:
    """One user message, and how it is to be answered. `temperature` None leaves it to the model's server."""

    prompt: str
    max_tokens: int = DEFAULT_TOKENS
    temperature: float | None = None

    def checked(self) -> "Question":
        """The question; raises `Invalid` when a value breaks a rule."""
        if not bounded(self.prompt, "prompt").strip():
            raise Invalid("`prompt` must not be empty.", reason="REQUIRED", field="prompt")
        within(self.max_tokens, "maxTokens", 1, MAX_TOKENS)
        if self.temperature is not None:
            within(self.temperature, "temperature", 0, 2)
        return self


class NotReached(Unavailable):
    """Nobody answers at the address: the model may have moved."""


class Completions(Protocol):
    """Asks a model once."""

    async def complete(
        self, upstream: Upstream, prompt: str, *, max_tokens: int | None, temperature: float | None
    ) -> Completion:
        """The answer to one user message.

        Raises `NotReached` where nobody listens, else `Unavailable` when there is no answer.
        """
        ...
