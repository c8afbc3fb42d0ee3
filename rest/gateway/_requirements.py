"""What a request requires of the answer: that it is JSON, or calls a tool."""

import orjson

from rest.gateway._records import ChoiceRecord, CompletionRecord
from rest.gateway._requests import GatewayRequest


def unmet_requirement(request: GatewayRequest, record: CompletionRecord) -> str | None:
    """What the request requires and the finished response lacks, as a sentence; None where nothing is lacking."""
    if not (request.wants_json or request.requires_tool):
        return None
    problems = (_choice_problem(request, choice, is_cut=record.is_cut) for choice in record.choices.values())
    return next((problem for problem in problems if problem), None)


def _choice_problem(request: GatewayRequest, choice: ChoiceRecord, *, is_cut: bool) -> str | None:
    is_cut = is_cut or choice.finish in {"length", "content_filter"}
    if request.requires_tool:
        return _tool_problem(request.required_tool, choice, is_cut=is_cut)
    if choice.tools or is_cut or _is_json(choice.text):
        return None
    return "The model's answer is not JSON, which `response_format` requires."


def _tool_problem(name: str | None, choice: ChoiceRecord, *, is_cut: bool) -> str | None:
    if not choice.tools:
        return (
            None if is_cut and not choice.text else "The model called no tool, which `tool_choice` requires."
        )
    if name is not None and set(choice.tools) != {name}:
        return f"The model called {choice.tools[0]}, while `tool_choice` requires {name}."
    return None


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
