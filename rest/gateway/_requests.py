"""Requests of the protocol: read for routing and the log, and checked."""

from codecs import BOM_UTF8
from dataclasses import dataclass
from typing import Any, Self

import orjson

from rest.gateway._checks import check_chat, check_completion, is_token_ids
from rest.gateway._endpoints import CHAT, COMPLETIONS
from rest.gateway._errors import OpenAIError

SHALLOW = 250
"""Opening brackets of a text that orjson can certainly encode again: it reads 1,024 levels, and writes 254."""


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """The JSON object of the body of a request to `endpoint`."""

    endpoint: str
    body: dict[str, Any]

    @classmethod
    def parse(cls, endpoint: str, raw: bytes) -> Self:
        """A request; raises `OpenAIError` 400 unless `raw` is a JSON object."""
        try:
            body = orjson.loads(raw.removeprefix(BOM_UTF8))  # which .NET's StreamWriter writes
        except orjson.JSONDecodeError as error:
            raise OpenAIError(
                400, f"The body is not valid JSON: {error.msg}.", code="invalid_json"
            ) from error
        if not isinstance(body, dict):
            raise OpenAIError(400, "The body must be a JSON object.", code="invalid_json")
        _require_encodable(raw, body)
        return cls(endpoint, body)

    @property
    def model(self) -> str:
        """The name of the model; raises `OpenAIError` 404 without one."""
        model = self.body.get("model")
        if not isinstance(model, str) or not model:
            raise OpenAIError(404, "`model` must name a model.", code="model_not_found", param="model")
        return model

    @property
    def is_streamed(self) -> bool:
        """Whether the response is to be a stream."""
        return self.body.get("stream") is True

    @property
    def includes_usage(self) -> bool:
        """Whether the client requests the chunk with the token counts."""
        options = self.body.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    @property
    def messages(self) -> Any:
        """The messages of a chat; None for a prompt."""
        return self.body.get("messages")

    @property
    def input(self) -> str:
        """The prompt, or the content of the last message of the user."""
        messages = self.messages
        if not isinstance(messages, list):
            return _prompt(self.body.get("prompt"))
        of_user = [message for message in dicts(messages) if message.get("role") == "user"]
        return _content(of_user[-1].get("content")) if of_user else ""

    @property
    def wants_json(self) -> bool:
        """Whether `response_format` requires that the answer is JSON."""
        format = self.body.get("response_format")
        return self.endpoint == CHAT and isinstance(format, dict) and format["type"] != "text"

    @property
    def requires_tool(self) -> bool:
        """Whether `tool_choice` requires that the answer calls a tool."""
        return self.endpoint == CHAT and self.body.get("tool_choice") not in (None, "none", "auto")

    @property
    def required_tool(self) -> str | None:
        """The name of the function that `tool_choice` requires; None where it is any."""
        choice = self.body.get("tool_choice")
        return choice["function"]["name"] if isinstance(choice, dict) else None

    @property
    def has_legacy_logprobs(self) -> bool:
        """Whether log probabilities are answered in the form that completions have."""
        return self.endpoint == COMPLETIONS and self.body.get("logprobs") is not None

    @property
    def choices_per_prompt(self) -> int:
        """How many choices are generated for each prompt."""
        return self.body.get("n") or 1

    @property
    def prompts(self) -> list[Any]:
        """The prompts of a completion; one None for a chat."""
        if self.endpoint == CHAT:
            return [None]
        prompt = self.body["prompt"]
        return [prompt] if isinstance(prompt, str) or is_token_ids(prompt) else prompt

    def echo_of(self, prompt: Any) -> str:
        """What is put before the text of a prompt's choices."""
        return prompt if self.body.get("echo") else ""

    def check(self) -> None:
        """Raise `OpenAIError` 400 with `param` where a value has the wrong type or is out of range."""
        if self.endpoint == CHAT:
            check_chat(self.body)
        else:
            check_completion(self.body)


def dicts(values: Any) -> list[dict[str, Any]]:
    """The JSON objects of an array; none where the value is no array."""
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _require_encodable(raw: bytes, body: dict[str, Any]) -> None:
    """Raise `OpenAIError` 400 where objects and lists are nested too deeply to be written for the model server."""
    if raw.count(b"{") + raw.count(b"[") <= SHALLOW:
        return
    try:
        orjson.dumps(body)
    except orjson.JSONEncodeError:
        message = "The body nests objects and lists too deeply."
        raise OpenAIError(400, message, code="invalid_json") from None


def _prompt(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and all(isinstance(text, str) for text in prompt):
        return "\n".join(prompt)
    return "" if prompt is None else orjson.dumps(prompt).decode()


def _content(content: Any) -> str:
    """The text of a message, whose content is text or an array of parts."""
    if isinstance(content, str):
        return content
    return "\n".join(str(part["text"]) for part in dicts(content) if isinstance(part.get("text"), str))
