"""Log probabilities of completions in their own form."""

from typing import Any

from rest.gateway._requests import dicts


class LegacyLogprobs:
    """Log probabilities in the form of completions, from the form of chats, which llama.cpp has for both.

    `top` is how many alternatives the client requests.
    """

    def __init__(self, top: int) -> None:
        self._top = top
        self._offset = 0

    def converted(self, logprobs: Any) -> Any:
        """The log probabilities of one choice or event; anything but the form of chats is returned unchanged."""
        if not isinstance(logprobs, dict) or "content" not in logprobs:
            return logprobs
        entries = dicts(logprobs["content"])
        tokens = [str(entry.get("token", "")) for entry in entries]
        return {
            "tokens": tokens,
            "token_logprobs": [entry.get("logprob") for entry in entries],
            "top_logprobs": [_alternatives(entry) for entry in entries] if self._top else None,
            "text_offset": [self._offset_of(token) for token in tokens],
        }

    def _offset_of(self, token: str) -> int:
        """The index in the choice's text at which a token begins."""
        offset = self._offset
        self._offset += len(token)
        return offset


def _alternatives(entry: dict[str, Any]) -> dict[str, Any]:
    return {str(token.get("token", "")): token.get("logprob") for token in dicts(entry.get("top_logprobs"))}
