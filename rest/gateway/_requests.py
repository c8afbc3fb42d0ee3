"""Requests of the protocol: read for routing and the log, checked, and encoded for the model server."""

from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

from domain.deployments import ModelCapability
from rest.gateway._checks import check_chat, check_completion, is_token_ids, unsupported
from rest.gateway._errors import OpenAIError

CHAT, COMPLETIONS = "chat/completions", "completions"
SHALLOW = 250
"""Opening brackets of a text that orjson can certainly encode again: it reads 1,024 levels, and writes 254."""
MAX_JSON_TOKENS = 1024
"""Tokens of an answer whose form is forced, where the request has no bound: a text in it may never end by itself."""
TEXT_PARTS = {"text", "refusal"}
NOT_FOR_TEXT_MODELS = {
    CHAT: ("functions", "function_call", "audio", "web_search_options"),
    COMPLETIONS: ("suffix", "response_format", "tools", "tool_choice"),
}
"""Fields that a text model in llama.cpp would ignore, by endpoint."""
EMPTY: tuple[Any, ...] = (None, "", [])
NO_TOOLS = "This model's chat template cannot show tools: send the request without them, or fine-tune another base model."


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

    def check_supported(
        self, capabilities: frozenset[ModelCapability] | None, *, is_text_model: bool
    ) -> None:
        """Raise `OpenAIError` 400 for what the model cannot do and would ignore. `capabilities` None are unknown."""
        if is_text_model:
            _check_text_only(self.endpoint, self.body)
        if capabilities is not None and ModelCapability.TOOLS not in capabilities:
            _check_without_tools(self.endpoint, self.body)

    def bodies(self, model: str) -> list["UpstreamBody"]:
        """The bodies for the model server, which knows the model as `model`: one for each choice.

        Streams are to end with their counts of tokens, which the log has.
        """
        body = _forwarded(self.endpoint, self.body) | {"model": model}
        if (self.wants_json or self.requires_tool) and not _has_token_limit(body):
            body["max_tokens"] = MAX_JSON_TOKENS
        if self.is_streamed:
            body["stream_options"] = (body.get("stream_options") or {}) | {"include_usage": True}
        if self.has_legacy_logprobs:
            body["logprobs"] = max(1, body["logprobs"])  # llama.cpp takes 0 for no log probabilities
        count = self.choices_per_prompt
        if self.endpoint == CHAT and count == 1:
            return [UpstreamBody(body, {})]
        return [
            UpstreamBody(body, _of_choice(self.body, prompt, number))
            for prompt in self.prompts
            for number in range(count)
        ]


@dataclass(frozen=True, slots=True)
class UpstreamBody:
    """The body of one request to the model server: fields that all choices share, and those of one choice.

    It is encoded when it is sent: 256 copies of a body of 2 MiB would be half a GiB.
    """

    shared: Mapping[str, Any]
    own: Mapping[str, Any]

    def encode(self) -> bytes:
        """The body as JSON."""
        return orjson.dumps({**self.shared, **self.own})


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


def _check_text_only(endpoint: str, body: Mapping[str, Any]) -> None:
    for name in NOT_FOR_TEXT_MODELS[endpoint]:
        if body.get(name) not in EMPTY:
            raise unsupported(name, f"This model does not support `{name}`.")
    if body.get("modalities") not in (*EMPTY, ["text"]):
        raise unsupported("modalities", "This model answers in text only.")
    for index, message in enumerate(_messages(endpoint, body)):
        for place, part in enumerate(dicts(message.get("content"))):
            if part["type"] not in TEXT_PARTS:
                path = f"messages[{index}].content[{place}]"
                raise unsupported(path, f"This model reads text only, and `{path}` is {part['type']}.")


def _check_without_tools(endpoint: str, body: Mapping[str, Any]) -> None:
    if body.get("tools") and body.get("tool_choice") != "none":
        raise unsupported("tools", NO_TOOLS)
    for index, message in enumerate(_messages(endpoint, body)):
        if message["role"] in {"tool", "function"} or message.get("tool_calls"):
            raise unsupported(f"messages[{index}]", NO_TOOLS)


def _messages(endpoint: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The checked messages of a chat; completions have none, and a field of that name is unchecked."""
    messages: list[dict[str, Any]] = body["messages"] if endpoint == CHAT else []
    return messages


def _forwarded(endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body without what the gateway does itself, and tools in the form that every model server reads."""
    forwarded = {name: value for name, value in body.items() if name not in {"n", "best_of", "echo"}}
    if endpoint != CHAT:
        return forwarded
    if tools := body.get("tools"):
        forwarded["tools"] = [_without_nulls(tool) for tool in tools]
    if isinstance(choice := body.get("tool_choice"), dict):
        name = choice["function"]["name"]
        tools = forwarded["tools"]
        forwarded["tools"] = [tool for tool in tools if tool["function"]["name"] == name]
        forwarded["tool_choice"] = "required"
    return forwarded


def _without_nulls(tool: dict[str, Any]) -> dict[str, Any]:
    """llama.cpp fails on a null where it reads an optional text."""
    function = {name: value for name, value in tool["function"].items() if value is not None}
    return tool | {"function": function}


def _has_token_limit(body: Mapping[str, Any]) -> bool:
    return body.get("max_tokens") is not None or body.get("max_completion_tokens") is not None


def _of_choice(body: Mapping[str, Any], prompt: Any, number: int) -> dict[str, Any]:
    """The prompt of a choice, and its seed: with the same one, all choices would be the same."""
    seed = body.get("seed")
    values = {} if prompt is None else {"prompt": prompt}
    return values if seed is None or not number else values | {"seed": seed + number}


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
