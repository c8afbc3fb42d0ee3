"""The response of a model server to one request of ours: read for the log, and rewritten for the client.

The client gets its own name of the model; of a completion the log probabilities in the form that completions have; and
where several requests make one response, the right index of a choice. All else stays as the model server sent it.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from rest.gateway._errors import NO_RETRY, OpenAIError, from_upstream_event
from rest.gateway._logprobs import LegacyLogprobs
from rest.gateway._records import CompletionRecord, token_count
from rest.gateway._requests import GatewayRequest, dicts

MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')
"""The member `model`: inside a text its quotation marks would be escaped."""


@dataclass(frozen=True, slots=True)
class SharedFields:
    """What the parts of a response that is made of several have in common."""

    id: str
    created: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one choice, as the model server counted them."""

    prompt: int = 0
    completion: int = 0


class ChoiceReader:
    """Reads a response's parts, each a JSON object: a whole response, or the events of a stream.

    Where the response is made of several, `shared` is given, and `index` is that of the choice. `echo` is put before
    the first text.
    """

    def __init__(
        self,
        request: GatewayRequest,
        model_name: str,
        record: CompletionRecord,
        *,
        echo: str = "",
        index: int = 0,
        shared: SharedFields | None = None,
    ) -> None:
        self._model_name = model_name
        self._record = record
        self._echo = echo
        self._index = index
        self._shared = shared
        self._logprobs = LegacyLogprobs(request.body["logprobs"]) if request.has_legacy_logprobs else None
        self._keeps_usage = request.includes_usage and shared is None
        # The member `model` of the last part, and what replaced it: found once, not in each event.
        self._member = b""
        self._renamed_member = b""
        self.usage = Usage()

    def read_event(self, data: bytes) -> bytes | None:
        """The data that the client gets in place of an event's; None for token counts that it did not request."""
        try:
            part = orjson.loads(data)
        except orjson.JSONDecodeError:
            return data
        if not isinstance(part, dict):
            return data
        changed = self._read(part)
        if part.get("error"):
            return orjson.dumps({"error": from_upstream_event(part["error"]).error})
        if _is_usage(part) and not self._keeps_usage:
            return None
        return orjson.dumps(part) if changed else self._renamed(data, part)

    def read_whole(self, body: bytes) -> tuple[dict[str, Any], bytes]:
        """The response as the client gets it, and its bytes; raises `OpenAIError` 502 where it is no JSON object."""
        try:
            part = orjson.loads(body)
        except orjson.JSONDecodeError:
            part = None
        if not isinstance(part, dict):
            message = "The model server's response is not a JSON object."
            raise OpenAIError(502, message, code="upstream_error", headers=NO_RETRY)
        changed = self._read(part)
        return part, orjson.dumps(part) if changed else self._renamed(body, part)

    def _read(self, part: dict[str, Any]) -> bool:
        """Rewrite a part and read it; True where more than the model's name has to change."""
        usage = part.get("usage")
        if isinstance(usage, dict):
            counts = (token_count(usage.get(name)) or 0 for name in ("prompt_tokens", "completion_tokens"))
            self.usage = Usage(*counts)
        choices = dicts(part.get("choices"))
        changed = bool(choices) and self._rewrite(choices)
        if self._shared is not None:
            part |= {"id": self._shared.id, "created": self._shared.created, "model": self._model_name}
        self._record.add(part)
        return changed or self._shared is not None

    def _rewrite(self, choices: list[dict[str, Any]]) -> bool:
        if self._shared is not None:
            choices[0]["index"] = self._index
        if self._logprobs is not None:
            for choice in choices:
                choice["logprobs"] = self._logprobs.converted(choice.get("logprobs"))
        if not self._echo:
            return self._logprobs is not None
        choices[0]["text"] = self._echo + str(choices[0].get("text") or "")
        self._echo = ""
        return True

    def _renamed(self, data: bytes, part: dict[str, Any]) -> bytes:
        """The data with the model's name in place of the model server's, and else the same bytes."""
        name = part.get("model")
        if not isinstance(name, str) or name == self._model_name:
            return data
        if not self._member or self._member not in data:
            match = MODEL.search(data)
            if match is None or orjson.loads(match[1]) != name:
                return orjson.dumps(part | {"model": self._model_name})
            self._member = match[0]
            self._renamed_member = match[0].removesuffix(match[1]) + orjson.dumps(self._model_name)
        return data.replace(self._member, self._renamed_member, 1)


def _is_usage(part: dict[str, Any]) -> bool:
    return part.get("choices") == [] and isinstance(part.get("usage"), dict)
