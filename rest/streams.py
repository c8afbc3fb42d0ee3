"""The log of a training as server-sent events, for clients that speak plain HTTP."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from domain import finetunes
from domain.finetunes import Finetune
from domain.jobs import FINAL, Job, JobStatus, Recorded, StatusChanged, place_of
from domain.training import Checkpoint, Line, Measured, Progress
from rest.base import endpoint, services, viewer_or_ticket

PING_S = 15.0


@endpoint
async def logs(request: Request) -> Response:
    """Replays from `Last-Event-ID` on, then follows; ends with the training."""
    viewer, finetune_id = viewer_or_ticket(request), request.path_params["finetune_id"]
    after = place_of(request.headers.get("last-event-id"))
    async with services(request).transactions.begin() as store:
        finetune, job = await finetunes.job_of(store, finetune_id, viewer_id=viewer)
    if finetune.project_id != request.path_params["project_id"]:
        raise finetunes.missing(finetune_id)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}  # proxies must not hold events back
    return StreamingResponse(_events(request, job, after), media_type="text/event-stream", headers=headers)


async def _events(request: Request, job: Job, after: int) -> AsyncIterator[str]:
    """The stream, with a comment whenever it was quiet for a while."""
    recorded = services(request).streams.follow(job.id, after)
    upcoming: asyncio.Future[Recorded] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(recorded))
            done, _ = await asyncio.wait({upcoming}, timeout=PING_S)
            if not done:
                yield ": still here\n\n"
                continue
            try:
                event, upcoming = upcoming.result(), None
            except StopAsyncIteration:
                return
            for name, data in await _told(request, job, event):
                yield f"id: {event.seq}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
    finally:
        if upcoming is not None:
            upcoming.cancel()
            with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                await upcoming


async def _told(request: Request, job: Job, recorded: Recorded) -> list[tuple[str, dict[str, Any]]]:
    """An event under the names of the REST contract."""
    if isinstance(recorded.event, StatusChanged) and recorded.event.status in FINAL:
        async with services(request).transactions.begin() as store:
            finetune = await store.finetunes.get(job.subject_id, viewer_id=job.owner_id)
        return [_end(recorded.event, finetune)]
    return list(_named(recorded))


def _named(recorded: Recorded) -> Iterator[tuple[str, dict[str, Any]]]:
    match recorded.event:
        case Measured(point=point) if point.eval_loss is not None:
            yield "eval", {"step": point.step, "eval_loss": point.eval_loss, "perplexity": point.perplexity}
        case Measured(point=point):
            names = ("step", "train_loss", "learning_rate", "epoch")
            yield "log", {name: getattr(point, name) for name in names}
        case Line(line):
            yield "log", {"line": line}
        case Progress(progress, message):
            yield "progress", {"progress_pct": round(progress * 100, 2), "message": message}
        case Checkpoint(step, path):
            yield "checkpoint", {"step": step, "path": path}
        case StatusChanged():
            return  # queued and running are seen in what follows


def _end(event: StatusChanged, finetune: Finetune | None) -> tuple[str, dict[str, Any]]:
    if event.status is not JobStatus.SUCCESS:
        return "error", {
            "status": event.status.lower(),
            "error": event.error or "The training was cancelled.",
        }
    metrics = finetune.metrics if finetune else None
    return "complete", {
        "status": event.status.lower(),
        "duration_seconds": finetune.training_time_seconds if finetune else None,
        "final_train_loss": metrics.train_loss if metrics else None,
    }


PATH = "/api/projects/{project_id}/finetunes/{finetune_id}/logs/stream"
ROUTES = [Route(PATH, logs)]
