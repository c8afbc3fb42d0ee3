"""The events of a training as server-sent events."""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from domain.finetunes import Finetune
from domain.job_events import Checkpoint, LogLine, Metric, Progress, RecordedEvent, StatusChanged, seq_of
from domain.jobs import FINAL, Job, JobStatus
from domain.rate_limits import CallKind
from domain.use_cases import finetunes
from edge.event_streams import HEADERS, MEDIA_TYPE, EventStream, event
from rest.endpoints import authenticate, endpoint, quotas_of, require_of_path, services_of
from rest.operations import BEARER_OR_TICKET, EVENTS, DocumentedRoute, Operation, request_header
from rest.rate_limits import rate_limited


@endpoint
@rate_limited(CallKind.READS)
async def logs(request: Request) -> Response:
    """Events from `Last-Event-ID` on, past and new; ends with the training or when the token expires.

    An `EventSource` then reconnects, until the response is 204: no event can follow its `Last-Event-ID`.
    """
    viewer = authenticate(request, allow_ticket=True)
    request.scope["viewer"] = viewer.id  # for the log of a slow client
    after = seq_of(request.headers.get("last-event-id") or None)
    finetune = await require_of_path(
        request, lambda store: store.finetunes, "finetune_id", viewer_id=viewer.id
    )
    async with services_of(request).transactions.read() as store:
        _, job = await finetunes.require_with_job(store, finetune.id, viewer_id=viewer.id)
        is_at_end = job.status in FINAL and not await store.job_events.after(job.id, after, 1)
    if is_at_end:
        return Response(status_code=204, headers=HEADERS)
    return EventStream(
        _events(request, job, after),
        remaining_s=(viewer.expires_at - services_of(request).now()).total_seconds(),
        quota=quotas_of(request).subscriptions.acquire(viewer.id),  # last, for only the stream releases it
        last_event=event(
            "error", json.dumps({"status": "unauthenticated", "error": "The token has expired."})
        ),
    )


async def _events(request: Request, job: Job, after: int) -> AsyncGenerator[str, None]:
    async with aclosing(services_of(request).job_streams.events(job.id, after)) as events:
        async for recorded in events:
            for name, data in await _rest_events(request, job, recorded):
                yield event(name, json.dumps(data), id=str(recorded.seq))


async def _rest_events(
    request: Request, job: Job, recorded: RecordedEvent
) -> list[tuple[str, dict[str, Any]]]:
    """The name and the data of the REST events that a job's event becomes: one, or none."""
    if isinstance(recorded.event, StatusChanged) and recorded.event.status in FINAL:
        async with services_of(request).transactions.read() as store:
            finetune = await store.finetunes.get(job.subject_id, viewer_id=job.owner_id)
        return [_final_event(recorded.event, finetune)]
    return list(_progress_events(recorded))


def _progress_events(recorded: RecordedEvent) -> Iterator[tuple[str, dict[str, Any]]]:
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
            return  # QUEUED and RUNNING have no event in REST


def _final_event(event: StatusChanged, finetune: Finetune | None) -> tuple[str, dict[str, Any]]:
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
OPERATION = Operation(
    id="followFinetune",
    summary="The events of a fine-tune's job as server-sent events",
    description="`log`, `eval`, `progress` and `checkpoint`, then `complete` or `error`, each with JSON as its data.",
    tag="Streams",
    access=BEARER_OR_TICKET,
    parameters=(
        request_header(
            "Last-Event-ID",
            "The id of the last event that the client has received.",
            {"type": "string", "pattern": "^[0-9]{0,18}$"},
        ),
    ),
    responses={
        200: {"description": "The events.", "content": {MEDIA_TYPE: {"schema": EVENTS}}},
        204: {"description": "There are no more events: an EventSource stops at it."},
    },
    errors=(400, 429),
)
ROUTES = [DocumentedRoute(PATH, logs, OPERATION)]
