"""One completion over the OpenAI protocol, through the client that OpenAI itself publishes."""

import httpx
import openai
from openai.types.chat import ChatCompletion

from domain.control_tokens import without_control_tokens
from domain.errors import Unavailable
from domain.ports.completions import Completion, ModelUnreachable
from domain.ports.model_runtime import Upstream

TIMEOUT = httpx.Timeout(120.0, connect=5.0)
NO_API_KEY = "none"
"""For servers without keys, which ignore it; the client requires one."""

PROTOCOL_ERROR = "The model server did not answer as the OpenAI protocol has it."


class OpenAICompletions:
    """Requests completions from any server of the protocol, over one connection pool."""

    def __init__(self, client: httpx.AsyncClient | None = None) -> None:
        self._http = client or httpx.AsyncClient(timeout=TIMEOUT)
        self._client = openai.AsyncOpenAI(
            api_key=NO_API_KEY,
            base_url="http://127.0.0.1",  # replaced for each request
            http_client=self._http,  # type: ignore[arg-type]  # typed for httpx2, made for both
            max_retries=0,
        )

    async def complete(
        self, upstream: Upstream, prompt: str, *, max_tokens: int | None, temperature: float | None
    ) -> Completion:
        """The completion. Raises `ModelUnreachable` without a connection, `Unavailable` without a valid response."""
        client = self._client.with_options(base_url=upstream.base_url, api_key=upstream.api_key or NO_API_KEY)
        text = without_control_tokens(prompt) if upstream.is_embedded else prompt
        try:
            completion = await client.chat.completions.create(
                model=upstream.model,
                messages=[{"role": "user", "content": text}],
                max_tokens=openai.omit if max_tokens is None else max_tokens,
                temperature=openai.omit if temperature is None else temperature,
            )
            return _completion(completion)
        except openai.OpenAIError as error:
            raise _translation(error) from error
        except (
            AttributeError,
            IndexError,
            TypeError,
            ValueError,
        ) as error:  # the client does not validate responses
            raise Unavailable(PROTOCOL_ERROR) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _completion(completion: ChatCompletion) -> Completion:
    usage = completion.usage
    return Completion(
        text=completion.choices[0].message.content or "",
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
    )


def _translation(error: openai.OpenAIError) -> Unavailable:
    """The domain's error, with the server's own message if it sent one."""
    if isinstance(error, openai.APITimeoutError):
        return Unavailable("The model did not answer in time.")
    if isinstance(error, openai.APIConnectionError):
        return ModelUnreachable("The model server does not answer; try again in a moment.")
    if isinstance(error, openai.APIStatusError):
        return Unavailable(f"The model server answered {error.status_code}{_server_message(error)}.")
    return Unavailable(PROTOCOL_ERROR)


def _server_message(error: openai.APIStatusError) -> str:
    message = error.body.get("message") if isinstance(error.body, dict) else None
    return f": {message.rstrip('.')}" if isinstance(message, str) and len(message) < 300 else ""
