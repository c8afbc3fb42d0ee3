"""Runs the cases of a program, and prints the result of each as a line of JSON."""

import asyncio
import inspect
import json
import os
import traceback
from collections.abc import Callable
from typing import Any

BASE_URL, API_KEY, MODEL = (os.environ.get(name, "") for name in ("BASE_URL", "API_KEY", "MODEL"))
PROMPT = os.environ.get("PROMPT", "Hello")
ONLY = os.environ.get("CASES", "").split()
"""The cases to run; all where it is empty."""
CASES: dict[str, Callable[[], Any]] = {}


def case(function: Callable[[], Any]) -> Callable[[], Any]:
    """Add a function to the cases that run: what it returns is its result."""
    if not ONLY or function.__name__ in ONLY:
        CASES[function.__name__] = function
    return function


def main() -> None:
    """Run the cases, one after the other in one event loop; an error is the result of its case."""
    with asyncio.Runner() as runner:
        for name, function in CASES.items():
            print(json.dumps({"case": name, "result": runner.run(_result(function))}), flush=True)


async def _result(function: Callable[[], Any]) -> Any:
    try:
        result = function()
        return await result if inspect.isawaitable(result) else result
    except Exception as error:  # noqa: BLE001 - it is the result
        traceback.print_exc()
        return {"error": type(error).__name__, "status": getattr(error, "status_code", None)}
