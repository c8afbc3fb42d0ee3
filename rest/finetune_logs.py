"""The log of a training as server-sent events, for clients that speak plain HTTP."""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.finetunes import Finetune
from domain.job_events import Checkpoint, LogLine, Metric, Progress, RecordedEvent, StatusChanged, place_of
from domain.jobs import FINAL, Job, JobStatus
from domain.rate_limits import CallKind
from domain.reading import require_in_project
from domain.use_cases import finetunes
from edge.event_streams import EventStream, event
from rest.endpoints import endpoint, let_in, quotas, services
from rest.rate_limits import limited


@endpoint
@limited(CallKind.READS)
async def logs(request: Request) -> Response:
    """Replays from `Last-Event-ID` on, then follows; ends with the training, or with the bearer token."""
    viewer, finetune_id = let_in(request), request.path_params["finetune_id"]
    request.scope["viewer"] = viewer.id  # for the log, should the client stop reading
    after = place_of(request.headers.get("last-event-id"))
    async with services(request).transactions.begin() as store:
        await require_in_project(
            store.finetunes, finetune_id, request.path_params["project_id"], viewer_id=viewer.id
        )
        _, job = await finetunes.job_of(store, finetune_id, viewer_id=viewer.id)
    return EventStream(
        _events(request, job, after),
        life_s=(viewer.until - services(request).now()).total_seconds(),
        quota=quotas(request).streams.acquire(viewer.id),  # last, for only the stream gives it back
        last_event=event(
            "error", json.dumps({"status": "unauthenticated", "error": "The token has expired."})
        ),
    )


async def _events(request: Request, job: Job, after: int) -> AsyncGenerator[str, None]:
    """The events, to the end of the training."""
    async with aclosing(services(request).streams.follow(job.id, after)) as recorded:
        async for it in recorded:
            for name, data in await _told(request, job, it):
                yield event(name, json.dumps(data), id=str(it.seq))


async def _told(request: Request, job: Job, recorded: RecordedEvent) -> list[tuple[str, dict[str, Any]]]:
    """An event under the names of the REST contract."""
    if isinstance(recorded.event, StatusChanged) and recorded.event.status in FINAL:
        async with services(request).transactions.begin() as store:
            finetune = await store.finetunes.get(job.subject_id, viewer_id=job.owner_id)
        return [_end(recorded.event, finetune)]
    return list(_named(recorded))


def _named(recorded: RecordedEvent) -> Iterator[tuple[str, dict[str, Any]]]:
    match recorded.event:
        case Metric(point=point) if point.eval_loss is not None:
            yield "eval", {"step": point.step, "eval_loss": point.eval_loss, "perplexity": point.perplexity}
        case Metric(point=point):
            names = ("step", "train_loss", "learning_rate", "epoch")
            yield "log", {name: getattr(point, name) for name in names}
        case LogLine(line):
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
