"""The examples of a page of the documentation: read, run against a server, and compared with the page."""

import asyncio
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.source_tree import ROOT

SERVER = "http://localhost:8000"
BLOCK = re.compile(r"^```(\w+) ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARIES = re.compile(r"[\w.-]+…")
PROGRAMS = {
    "python": [sys.executable, "-c"],
    "js": [str(Path(sys.executable).with_name("node")), "--input-type=module", "--eval"],
}


@dataclass(frozen=True, slots=True)
class Example:
    """A program or request, and its output: a JSON document, or a text."""

    language: str
    text: str
    variables: str
    outcome: str
    has_json: bool


def examples(page: str) -> Iterator[Example]:
    """The examples of a page; raises ValueError for a block that is not part of an example."""
    blocks = iter(BLOCK.findall(page))
    for language, role, text in blocks:
        variables, (kind, next_role, outcome) = "{}", next(blocks, ("", "nothing", ""))
        if next_role == "variables":
            variables, (kind, next_role, outcome) = outcome, next(blocks, ("", "nothing", ""))
        if role or language not in {"graphql", "sh", *PROGRAMS} or next_role not in {"response", "output"}:
            raise ValueError(f"This block is not part of an example with an output:\n{text}")
        yield Example(language, text, variables, outcome, has_json=kind == "json")


@dataclass
class Reader:
    """Runs examples in order; a value that an output has for `prj_…` replaces `prj_…` in later examples.

    `environ` has the values of `$NAME` in requests, which programs have in their environment.
    """

    url: str
    environ: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    async def run(self, example: Example) -> None:
        """Run an example and compare its output; `…` in the page matches any text."""
        text = self._filled(example.text)
        if example.language in PROGRAMS:
            self._compare(example, await self._program(example.language, text))
            return
        request = (
            curl(text) if example.language == "sh" else self._operation(text, self._filled(example.variables))
        )
        async with httpx.AsyncClient(base_url=self.url) as client:
            response = await client.request(**request)
        self._compare(example, response.text or str(response.status_code))

    def _filled(self, text: str) -> str:
        filled = VARIES.sub(lambda match: self.values.get(match[0], match[0]), text)
        local = filled.replace(SERVER, self.url).replace(
            SERVER.replace("http", "ws"), self.url.replace("http", "ws")
        )
        for name, value in self._environ.items():
            local = local.replace(f"${name}", value)
        return local

    @property
    def _token(self) -> str:
        return self.values.get("eyJ…", "")

    @property
    def _environ(self) -> dict[str, str]:
        return {**self.environ, "TOKEN": self._token}

    def _operation(self, query: str, variables: str) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        body = {"query": query, "variables": json.loads(variables)}
        return {"method": "POST", "url": "/graphql", "json": body, "headers": headers}

    async def _program(self, language: str, text: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *PROGRAMS[language], text, cwd=ROOT / "tests" / "node", env=os.environ | self._environ,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    def _compare(self, example: Example, output: str) -> None:
        expected = example.outcome.replace(SERVER, self.url)
        if not example.has_json:
            assert matches(expected.strip(), output.strip()), output
            return
        document, response = json.loads(expected), json.loads(output)
        if "extensions" not in document:
            response.pop("extensions", None)
        values: dict[str, str] = {}
        assert response == completed(document, response, values)
        self.values |= values


def matches(expected: str, actual: str) -> bool:
    """Whether a text is the expected one, with any text for each `…`."""
    return re.fullmatch(".*".join(map(re.escape, expected.split("…"))), actual, re.DOTALL) is not None


def completed(expected: Any, actual: Any, values: dict[str, str]) -> Any:
    """`expected` with the actual values for `…`; each value like `prj_…` is the same everywhere, and put into `values`."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        rest = actual if "…" in expected else {}
        return rest | {
            name: completed(value, actual.get(name), values)
            for name, value in expected.items()
            if name != "…"
        }
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return [completed(*pair, values) for pair in zip(expected, actual, strict=True)]
    if isinstance(expected, str) and isinstance(actual, str) and "…" in expected:
        if not matches(expected, actual):
            return expected
        return values.setdefault(expected, actual) if VARIES.fullmatch(expected) else actual
    return expected


def curl(command: str) -> dict[str, Any]:
    """The request of a curl command line, as arguments of httpx."""
    request: dict[str, Any] = {"headers": {}, "data": {}, "files": []}
    words = iter(shlex.split(command.replace("\\\n", " "))[1:])
    for word in words:
        if word == "-H":
            name, _, request["headers"][name] = next(words).partition(": ")
        elif word == "-d":
            request["content"] = next(words)
        elif word == "-X":
            request["method"] = next(words)
        elif word == "-T":
            request |= {"method": "PUT", "content": (ROOT / next(words)).read_bytes()}
        elif word == "-w":
            assert next(words) == "%{http_code}"
        elif word == "-F":
            _add_part(request, next(words))
        elif not word.startswith("-"):
            request["url"] = word
    request = {name: value for name, value in request.items() if value}
    has_body = request.keys() & {"content", "data", "files"}
    return {"method": "POST" if has_body else "GET"} | request


def _add_part(request: dict[str, Any], part: str) -> None:
    name, _, value = part.partition("=")
    if value.startswith("@"):
        path, _, media_type = value[1:].partition(";type=")
        request["files"].append((name, (Path(path).name, (ROOT / path).read_bytes(), media_type)))
    else:
        request["data"][name] = value
