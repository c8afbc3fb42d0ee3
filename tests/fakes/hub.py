"""A Hugging Face Hub on a port of its own: what `huggingface_hub` asks for models, and how the hub fails."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_somebody_with_access"
TOKEN_WITHOUT_ACCESS = "hf_of_somebody_without_access"
LFS_SUFFIXES = (".safetensors", ".gguf", ".bin", ".model", ".pt")
COMMITS = count(1)
Files = Mapping[str, bytes | str | dict[str, Any]] | Path
"""A repository's files by path, where a dict is JSON, or the folder that has them."""


class Access(StrEnum):
    """Who may read a repository."""

    PUBLIC = "PUBLIC"
    GATED = "GATED"
    """Everybody reads its description; only a token with access reads files."""
    PRIVATE = "PRIVATE"
    """Without a token with access it does not exist."""


@dataclass
class Repository:
    """A model's repository. `commits` has each commit's files by path; the last one is `main`.

    `info` has further keys of the API's description, such as `cardData`, `safetensors` or `pipeline_tag`.
    """

    model_id: str
    access: Access = Access.PUBLIC
    info: Mapping[str, Any] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def revision(self) -> str:
        """The commit of `main`."""
        return list(self.commits)[-1]

    def commit(self, files: Mapping[str, bytes]) -> str:
        """Add a commit with exactly these files; returns its hash, 40 hexadecimal digits."""
        revision = f"{next(COMMITS):040x}"
        self.commits[revision] = dict(files)
        return revision


@dataclass(frozen=True)
class Answer:
    """What the hub answers. A body that is shorter than its `Content-Length` is a connection that was lost."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A request that the hub got; `token` is None where there was none."""

    method: str
    path: str
    token: str | None
    range: str | None


class FakeHub:
    """The repositories of a hub, and its faults.

    Every answer has the status `status` while it is set. `truncated` and `redirects` are by the end of a path: a body
    that stops in the middle, and a `Location`. Answers to paths in `stalled` set `waiting`, and wait for `released`.
    """

    def __init__(self) -> None:
        self.url = ""
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.status: int | None = None
        self.status_headers: dict[str, str] = {}
        self.truncated: set[str] = set()
        self.redirects: dict[str, str] = {}
        self.stalled: set[str] = set()
        self.waiting = threading.Event()
        self.released = threading.Event()

    def add(
        self,
        model_id: str,
        files: Files,
        *,
        access: Access = Access.PUBLIC,
        **info: Any,
    ) -> Repository:
        """A repository with one commit; `info` has further keys of its description."""
        repository = Repository(model_id, access, info)
        repository.commit(contents(files))
        self.repositories[model_id] = repository
        return repository

    def answer(self, request: Request) -> Answer:
        """The answer to a request, after it was recorded."""
        self.requests.append(request)
        path = urlsplit(request.path).path
        if any(path.endswith(end) for end in self.stalled):
            self.waiting.set()
            self.released.wait()
        if self.status is not None:
            return Answer(self.status, b"", self.status_headers)
        location = next((url for end, url in self.redirects.items() if path.endswith(end)), None)
        if location is not None:
            return Answer(302, b"", {"Location": location})
        return self._route(path.strip("/").split("/"), request)

    def _route(self, parts: list[str], request: Request) -> Answer:
        if request.token not in {None, TOKEN, TOKEN_WITHOUT_ACCESS}:
            return refusal(401, "", "Invalid credentials in Authorization header")
        is_api = parts[:2] == ["api", "models"]
        model_id, parts = self._split_model_id(parts[2:] if is_api else parts)
        repository = self.repositories.get(model_id)
        has_access = request.token == TOKEN
        if repository is None or (repository.access is Access.PRIVATE and not has_access):
            return refusal(401 if request.token is None else 404, "RepoNotFound", "Repository not found")
        kind, revision, name = (parts[0] if parts else ""), "main", ""
        if kind in {"revision", "tree", "resolve"}:
            revision, name = unquote(parts[1]), "/".join(map(unquote, parts[2:]))
        commit = repository.revision if revision == "main" else revision
        if commit not in repository.commits:
            return refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if is_api and kind in {"", "revision"}:
            return description(repository, commit)
        if repository.access is Access.GATED and not has_access:
            status = 401 if request.token is None else 403
            message = (
                f"Access to model {model_id} is restricted. You must have access to it and be authenticated."
            )
            return refusal(status, "GatedRepo", message)
        files = repository.commits[commit]
        return tree(files) if is_api else self._file(files, commit, name, request)

    def _split_model_id(self, parts: list[str]) -> tuple[str, list[str]]:
        """The id of a model, of one name or two, and the parts behind it."""
        size = 1 if parts[0] in self.repositories or parts[1:2] == ["resolve"] else 2
        return unquote("/".join(parts[:size])), parts[size:]

    def _file(self, files: Mapping[str, bytes], commit: str, name: str, request: Request) -> Answer:
        if name not in files:
            return refusal(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        body = files[name]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag(name, body)}"', "Accept-Ranges": "bytes"}
        if is_lfs(name):
            headers |= {"X-Linked-Etag": f'"{etag(name, body)}"', "X-Linked-Size": str(len(body))}
        status, part = 200, body
        if request.range is not None and request.method == "GET":
            start, part = requested_range(request.range, body)
            status = 206
            headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(body)}"
        headers["Content-Length"] = str(len(part))
        if request.method == "HEAD":
            return Answer(status, b"", headers)
        is_truncated = any(name.endswith(end) for end in self.truncated)
        return Answer(status, part[: len(part) // 2] if is_truncated else part, headers)


def contents(files: Files) -> dict[str, bytes]:
    """The bytes of a repository's files by path."""
    if isinstance(files, Path):
        paths = sorted(path for path in files.rglob("*") if path.is_file())
        return {path.relative_to(files).as_posix(): path.read_bytes() for path in paths}
    return {name: encoded(content) for name, content in files.items()}


def encoded(content: bytes | str | dict[str, Any]) -> bytes:
    if isinstance(content, dict):
        return json.dumps(content).encode()
    return content.encode() if isinstance(content, str) else content


def is_lfs(name: str) -> bool:
    return name.endswith(LFS_SUFFIXES)


def etag(name: str, body: bytes) -> str:
    """The SHA-256 of a file of Git LFS, or Git's SHA-1 of another file."""
    if is_lfs(name):
        return hashlib.sha256(body).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()


def requested_range(text: str, body: bytes) -> tuple[int, bytes]:
    """The start and the bytes of `bytes=start-end`, whose end may be absent."""
    start, _, end = text.removeprefix("bytes=").partition("-")
    return int(start), body[int(start) : int(end) + 1 if end else None]


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    error = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}) | dict(headers or {})
    return Answer(status, json.dumps({"error": message}).encode(), error)


def description(repository: Repository, commit: str) -> Answer:
    """The answer to `/api/models/{id}`."""
    files = repository.commits[commit]
    gated = "manual" if repository.access is Access.GATED else False
    body = {
        "id": repository.model_id, "modelId": repository.model_id, "sha": commit, "gated": gated,
        "private": repository.access is Access.PRIVATE, "disabled": False, "tags": [],
        "siblings": [{"rfilename": name, "size": len(content)} for name, content in files.items()],
        **repository.info,
    }  # fmt: skip
    return Answer(200, json.dumps(body).encode())


def tree(files: Mapping[str, bytes]) -> Answer:
    """The answer to `/api/models/{id}/tree/{revision}?recursive=true`."""
    return Answer(200, json.dumps([tree_entry(name, content) for name, content in files.items()]).encode())


def tree_entry(name: str, content: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": name, "size": len(content), "oid": etag(name, content)}
    lfs = {"oid": etag(name, content), "size": len(content), "pointerSize": 134}
    return entry | ({"lfs": lfs} if is_lfs(name) else {})


class _Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for the hub of its server."""

    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def do_GET(self) -> None:
        token = self.headers.get("Authorization")
        token = token.removeprefix("Bearer ") if token is not None else None
        answer = self.hub.answer(Request(self.command, self.path, token, self.headers.get("Range")))
        headers = {"Content-Length": str(len(answer.body)), "Content-Type": "application/json"}
        self.send_response(answer.status)
        for name, value in (headers | dict(answer.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
            self.close_connection |= len(answer.body) < int(
                (headers | dict(answer.headers))["Content-Length"]
            )

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: `FakeHub.requests` has what was asked."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left is no error."""


@contextmanager
def serving() -> Iterator[FakeHub]:
    """A hub that answers in threads of its own until the block ends; `url` is what `HF_ENDPOINT` is set to."""
    hub = FakeHub()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        with suppress(OSError):
            server.shutdown()
            server.server_close()
        thread.join()
