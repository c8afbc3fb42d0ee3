"""Completions: the port to an OpenAI-compatible server for single requests that do not pass the gateway."""

from dataclasses import dataclass
from typing import Protocol

from domain.errors import Invalid, Unavailable
from domain.ports.model_runtime import Upstream
from domain.rules import check_range, validated_text

MAX_TOKENS = 4096
DEFAULT_TOKENS = 512
"""Where the caller sets no limit: a model may go on until its context is full."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The text that a model generated, and its numbers of tokens; None where the server reports none."""

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A user message and sampling parameters. `temperature` None is the model server's default."""

    prompt: str
    max_tokens: int = DEFAULT_TOKENS
    temperature: float | None = None

    def validated(self) -> "CompletionRequest":
        """The request; raises `Invalid` when a value breaks a rule."""
        if not validated_text(self.prompt, "prompt").strip():
            raise Invalid("`prompt` must not be empty.", reason="REQUIRED", field="prompt")
        check_range(self.max_tokens, "maxTokens", 1, MAX_TOKENS)
        if self.temperature is not None:
            check_range(self.temperature, "temperature", 0, 2)
        return self


class ModelUnreachable(Unavailable):
    """No server accepts connections at the address: the model may have been unloaded or moved."""


class Completions(Protocol):
    """Requests completions from a model."""

    async def complete(
        self, upstream: Upstream, prompt: str, *, max_tokens: int | None, temperature: float | None
    ) -> Completion:
        """The completion of one user message.

        Raises `ModelUnreachable` when the connection is refused, `Unavailable` when there is no response.
        """
        ...
