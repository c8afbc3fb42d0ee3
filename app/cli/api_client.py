"""A client of the public API: GraphQL, presigned uploads and event streams."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx

from app.failures import Failure

RECONNECT_DELAY_S = 0.5
MAX_RECONNECTS = 20


class ApiError(Failure):
    """An error of the API, with its message, or no answer from it."""


class Client:
    """An HTTP client of one Luthier server."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, timeout=60)
        if token:
            self.sign_in(token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def sign_in(self, token: str) -> None:
        """Send this bearer token from now on."""
        self._http.headers["authorization"] = f"Bearer {token}"

    def query(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """The data of a query; raises `ApiError` with the message of the first error."""
        try:
            response = self._http.post("/graphql", json={"query": document, "variables": variables})
            body = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ApiError(f"{self.url} does not answer as Luthier does: {error}.") from error
        if errors := body.get("errors"):
            raise ApiError(errors[0]["message"])
        return dict(body["data"])

    def mutate(self, name: str, fields: str, /, **input: Any) -> dict[str, Any]:
        """The payload of a mutation with these fields; raises `ApiError` with the first user error."""
        kind = "Delete" if name == "deleteProject" else name[0].upper() + name[1:]
        document = f"mutation($input: {kind}Input!) {{ {name}(input: $input) {{ {fields} userErrors {{ message }} }} }}"
        payload = self.query(document, input=input)[name]
        if payload["userErrors"]:
            raise ApiError(payload["userErrors"][0]["message"])
        return dict(payload)

    def upload(self, project_id: str, path: Path, media_type: str) -> str:
        """Upload a file to object storage; returns the id of its document."""
        upload = self.mutate(
            "initiateUpload",
            "uploadUrl method headers s3Key document { id }",
            projectId=project_id,
            fileName=path.name,
            fileType=media_type,
            kind="DATASET_UPLOAD",
            sizeBytes=path.stat().st_size,
        )
        with path.open("rb") as file:
            size = {"content-length": str(path.stat().st_size)}
            response = httpx.request(
                upload["method"],
                upload["uploadUrl"],
                headers=upload["headers"] | size,
                content=file,
                timeout=600,
            )
        if response.is_error:
            raise ApiError(f"Object storage refused the upload ({response.status_code}).")
        document_id = str(upload["document"]["id"])
        self.mutate("completeUpload", "document { id }", documentId=document_id, s3Key=upload["s3Key"])
        return document_id

    def wait(self, job_id: str) -> dict[str, Any]:
        """Follow a job's events to its end, and return it; raises `ApiError` unless it succeeded."""
        document = "subscription($id: ID!) { jobEvents(jobId: $id) { __typename cursor } }"
        for _ in self._sse("POST", "/graphql", json={"query": document, "variables": {"id": job_id}}):
            pass
        job = self.query("query($id: ID!) { job(id: $id) { status error result } }", id=job_id)["job"]
        if job["status"] != "SUCCESS":
            raise ApiError(job["error"] or f"The job ended as {job['status']}.")
        return dict(job)

    def stream(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The name and data of each event of a REST stream; reconnects with Last-Event-ID when the connection breaks."""
        last_id: str | None = None
        failures = 0
        while True:
            headers = {"last-event-id": last_id} if last_id is not None else None
            try:
                for id, name, data in self._sse("GET", path, headers=headers):
                    last_id, failures = id or last_id, 0
                    yield name, data
                    if name in {"complete", "error"}:
                        return
            except httpx.HTTPError as error:
                failures += 1
                if failures == MAX_RECONNECTS:
                    raise ApiError(f"The event stream broke off: {error}.") from error
                time.sleep(RECONNECT_DELAY_S)

    def _sse(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, json: Any = None
    ) -> Iterator[tuple[str, str, dict[str, Any]]]:
        headers = {"accept": "text/event-stream"} | (headers or {})
        with self._http.stream(
            method, path, headers=headers, json=json, timeout=httpx.Timeout(60)
        ) as response:
            if response.is_error:
                raise ApiError(
                    f"{path} answered {response.status_code}: {response.read().decode(errors='replace')}"
                )
            yield from _events(response.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The id, name and JSON data of each event (WHATWG HTML, 9.2.6, without retry and multi-line data)."""
    id, name, data = "", "message", ""
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id":
            id = value
        elif field == "event":
            name = value
        elif field == "data":
            data += value
        elif not line and data:
            yield id, name, json.loads(data)
            name, data = "message", ""
