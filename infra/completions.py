"""One completion over the OpenAI protocol, through the client that OpenAI itself publishes."""

import httpx
import openai
from openai.types.chat import ChatCompletion

from domain.errors import Unavailable
from domain.ports.completions import Completion, NotReached
from domain.ports.model_runtime import Upstream

TIMEOUT = httpx.Timeout(120.0, connect=5.0)
NO_KEY = "none"
"""Servers without keys ignore it; the client insists on one."""

FOREIGN = "The model server did not answer as the OpenAI protocol has it."


class OpenAICompletions:
    """Asks whichever server speaks the protocol, over one pool of connections."""

    def __init__(self, client: httpx.AsyncClient | None = None) -> None:
        self._http = client or httpx.AsyncClient(timeout=TIMEOUT)
        self._client = openai.AsyncOpenAI(
            api_key=NO_KEY,
            base_url="http://127.0.0.1",  # each question brings its own
            http_client=self._http,  # type: ignore[arg-type]  # typed for httpx2, made for both
            max_retries=0,
        )

    async def complete(
        self, upstream: Upstream, prompt: str, *, max_tokens: int | None, temperature: float | None
    ) -> Completion:
        """The answer. Raises `NotReached` where nobody listens, else `Unavailable` when there is no answer."""
        client = self._client.with_options(base_url=upstream.base_url, api_key=upstream.api_key or NO_KEY)
        try:
            answered = await client.chat.completions.create(
                model=upstream.model,
                messages=[{"role": "user", "content": prompt}],
                max_tokens=openai.omit if max_tokens is None else max_tokens,
                temperature=openai.omit if temperature is None else temperature,
            )
            return _completion(answered)
        except openai.OpenAIError as error:
            raise _refusal(error) from error
        except (AttributeError, IndexError, TypeError, ValueError) as error:  # the client checks no shapes
            raise Unavailable(FOREIGN) from error

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()


def _completion(answered: ChatCompletion) -> Completion:
    usage = answered.usage
    return Completion(
        text=answered.choices[0].message.content or "",
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
    )


def _refusal(error: openai.OpenAIError) -> Unavailable:
    """The same in our words; a server's own sentence is shown when it sent one."""
    if isinstance(error, openai.APITimeoutError):
        return Unavailable("The model did not answer in time.")
    if isinstance(error, openai.APIConnectionError):
        return NotReached("The model server does not answer; try again in a moment.")
    if isinstance(error, openai.APIStatusError):
        return Unavailable(f"The model server answered {error.status_code}{_said(error)}.")
    return Unavailable(FOREIGN)


def _said(error: openai.APIStatusError) -> str:
    said = error.body.get("message") if isinstance(error.body, dict) else None
    return f": {said.rstrip('.')}" if isinstance(said, str) and len(said) < 300 else ""
