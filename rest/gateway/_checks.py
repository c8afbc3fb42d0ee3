"""Checks of request bodies: types, ranges and references, as OpenAI's API has them; fields unknown here pass."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from rest.gateway._errors import OpenAIError
from rest.operations import model_schema
from rest.validation_errors import path_of, problem_of

MAX_CHOICES_PER_PROMPT = 8
MAX_PROMPTS = 32
MAX_STOPS = 4
MAX_TOOLS = 128
MAX_ITEMS = 2_048
"""Messages, and parts of one. OpenAI has the same limit."""
MAX_BIASES = 10_000
MAX_INT64 = 2**63 - 1
MAX_TOKENS = 2**31 - 1


def check_chat(body: Mapping[str, Any]) -> None:
    """Raise `OpenAIError` 400 with `param` unless the body is that of a chat completion."""
    _validate(_ChatBody, body)
    _check_contents(body["messages"])
    _check_tool_choice(body.get("tool_choice"), body.get("tools") or ())
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise invalid_value("top_logprobs", "needs `logprobs` to be true")


def check_completion(body: Mapping[str, Any]) -> None:
    """Raise `OpenAIError` 400 with `param` unless the body is that of a completion."""
    _validate(_CompletionBody, body)
    if body.get("best_of") not in {None, body.get("n") or 1}:
        raise unsupported("best_of", "`best_of` is possible only where it equals `n`.")
    if body.get("echo"):
        _check_echo(body)


def invalid_value(param: str, problem: str) -> OpenAIError:
    """The error for a value that is wrong whatever the model can do."""
    return OpenAIError(400, f"`{param}` {problem}.", code="invalid_value", param=param)


def unsupported(param: str, message: str) -> OpenAIError:
    """The error for what the model or this endpoint cannot do."""
    return OpenAIError(400, message, code="unsupported_parameter", param=param)


def _parts(content: Any) -> Any:
    """Content as an array of parts."""
    return [] if content is None or isinstance(content, str) else content


def _texts(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _not_too_many(bias: object) -> object:
    """Refuse a large object at once: an error for each of its values would take a second."""
    if isinstance(bias, dict) and len(bias) > MAX_BIASES:
        raise ValueError(f"must have at most {MAX_BIASES:,} tokens")
    return bias


def _token_ids(bias: dict[str, float]) -> dict[str, float]:
    if not all(re.fullmatch(r"\d{1,10}", token) for token in bias):
        raise ValueError("has ids of tokens as its keys")
    return bias


def _prompts(prompt: object) -> object:
    """Refuse a prompt that is no text, no list of token ids and no list of these."""
    if isinstance(prompt, str):
        return prompt
    if not isinstance(prompt, list) or not prompt:
        raise ValueError("must be text, token ids, or a list of one of them that is not empty")
    if not is_token_ids(prompt):
        if len(prompt) > MAX_PROMPTS:
            raise ValueError(f"must be at most {MAX_PROMPTS} prompts")
        if not (all(isinstance(part, str) for part in prompt) or all(map(is_token_ids, prompt))):
            raise ValueError("must be text, token ids, or a list of one of them")
    return prompt


def is_token_ids(prompt: object) -> bool:
    """Whether a prompt is a list of token ids."""
    return isinstance(prompt, list) and bool(prompt) and all(type(token) is int for token in prompt)


Temperature = Annotated[float, Field(ge=0, le=2)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
TokenLimit = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
StopText = Annotated[str, Field(min_length=1)]
Stops = Annotated[list[StopText], Field(max_length=MAX_STOPS, fail_fast=True)]
Stop = Annotated[Stops, BeforeValidator(_texts, json_schema_input_type=StopText | Stops)]
LogitBias = Annotated[
    dict[str, Annotated[float, Field(ge=-100, le=100)]],
    BeforeValidator(_not_too_many),
    AfterValidator(_token_ids),
]
MAX_2048 = Field(max_length=MAX_ITEMS, fail_fast=True)
"""At most 2,048 elements, of which the first wrong one is reported: to collect the errors of 2 MiB would take seconds."""
MAX_128 = Field(max_length=MAX_TOOLS, fail_fast=True)


class _Part(BaseModel):
    """A JSON object. Unknown fields are ignored; no type is converted: neither `true` nor `"1"` is a number."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class _StreamOptions(_Part):
    include_usage: bool | None = None


class _Sampling(_Part):
    """What both endpoints have."""

    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: Temperature | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES_PER_PROMPT)] | None = None
    max_tokens: TokenLimit | None = None
    seed: Annotated[int, Field(ge=-MAX_INT64, le=MAX_INT64)] | None = None
    stop: Stop | None = None
    logit_bias: LogitBias | None = None


class _ContentPart(_Part):
    type: Literal["text", "refusal", "image_url", "input_audio", "file", "video_url"]
    text: str | None = None
    refusal: str | None = None


class _CalledFunction(_Part):
    name: str
    arguments: str


class _ToolCall(_Part):
    id: str | None = None
    type: Literal["function"]
    function: _CalledFunction


class _Message(_Part):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[
        list[_ContentPart],
        MAX_2048,
        BeforeValidator(_parts, json_schema_input_type=str | list[_ContentPart] | None),
    ] = []
    tool_calls: Annotated[list[_ToolCall], MAX_128] | None = None
    tool_call_id: str | None = None


class _Function(_Part):
    name: Annotated[str, Field(min_length=1, max_length=256)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(_Part):
    type: Literal["function"]
    function: _Function


class _JsonSchema(_Part):
    name: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None


class _ResponseFormat(_Part):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None

    @model_validator(mode="after")
    def _has_schema(self) -> Self:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("has no `json_schema`")
        return self


class _ChatBody(_Sampling):
    messages: Annotated[list[_Message], Field(min_length=1), MAX_2048]
    max_completion_tokens: TokenLimit | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: Annotated[list[_Tool], MAX_128] | None = None
    parallel_tool_calls: bool | None = None
    response_format: _ResponseFormat | None = None
    reasoning_effort: str | None = None
    modalities: Annotated[list[str], MAX_128] | None = None


class _CompletionBody(_Sampling):
    prompt: Annotated[
        Any, BeforeValidator(_prompts, json_schema_input_type=str | list[str] | list[int] | list[list[int]])
    ]
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: bool | None = None
    best_of: Annotated[int, Field(ge=1, le=20)] | None = None
    suffix: str | None = None


CHAT_SCHEMA = model_schema(_ChatBody)
COMPLETION_SCHEMA = model_schema(_CompletionBody)


def _validate(kind: type[BaseModel], body: Mapping[str, Any]) -> None:
    try:
        kind.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise invalid_value(path_of(first), problem_of(first)) from None


def _check_contents(messages: Any) -> None:
    """Refuse messages without what they are for, which types cannot say."""
    for index, message in enumerate(messages):
        path = f"messages[{index}].content"
        if message.get("content") is None and message["role"] not in {"assistant", "function"}:
            raise invalid_value(path, "must be text or an array of parts")
        for position, part in enumerate(_parts(message.get("content")) or ()):
            if part["type"] in {"text", "refusal"} and part.get(part["type"]) is None:
                raise invalid_value(f"{path}[{position}].{part['type']}", "is missing")


def _check_tool_choice(choice: Any, tools: Any) -> None:
    if choice is None or choice == "none":
        return
    if choice in ("auto", "required"):
        if choice == "required" and not tools:
            raise invalid_value("tool_choice", "is possible only with `tools`")
        return
    function = choice.get("function") if isinstance(choice, dict) else None
    if (
        not isinstance(function, dict)
        or not isinstance(function.get("name"), str)
        or choice.get("type") != "function"
    ):
        raise invalid_value("tool_choice", "must be none, auto, required, or an object that names a function")
    if function["name"] not in {tool["function"]["name"] for tool in tools}:
        raise invalid_value("tool_choice", "names a function that is not in `tools`")


def _check_echo(body: Mapping[str, Any]) -> None:
    prompt = body["prompt"]
    if not all(isinstance(text, str) for text in (prompt if isinstance(prompt, list) else [prompt])):
        raise unsupported("echo", "`echo` is possible only where the prompt is text.")
    if body.get("logprobs") is not None:
        raise unsupported("echo", "`echo` is not possible together with `logprobs`.")
