"""Downloads of request logs, streamed from the database row by row."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response

from domain.deployments import Deployment
from domain.files.csv_writer import BOM, csv_line
from domain.rate_limits import CallKind
from domain.request_logs import RequestLog
from domain.rules import safe_name
from domain.store import Transactions
from rest.endpoints import endpoint, require_of_path, services_of, viewer_id
from rest.operations import BEARER_OR_TICKET, DocumentedRoute, Operation, attachment
from rest.rate_limits import rate_limited
from rest.streaming import ClosingStreamingResponse, batched

COLUMNS = ("date", "input", "output")


@endpoint
@rate_limited(CallKind.READS)
async def logs_download(request: Request) -> Response:
    """A deployment's requests as CSV, oldest first."""
    viewer = viewer_id(request, allow_ticket=True)
    deployment = await require_of_path(
        request, lambda store: store.deployments, "deployment_id", viewer_id=viewer
    )
    filename = f"{safe_name(deployment.model_name)}_logs.csv"
    return ClosingStreamingResponse(
        batched(_lines(services_of(request).transactions, deployment)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )


async def _lines(transactions: Transactions, deployment: Deployment) -> AsyncGenerator[str, None]:
    """The file line by line, from a server-side cursor."""
    yield BOM + csv_line(COLUMNS)
    async with transactions.begin() as store:
        logs = store.request_logs.stream(deployment.id, viewer_id=deployment.owner_id)
        async with aclosing(logs):
            async for log in logs:
                yield _line(log)


def _line(log: RequestLog) -> str:
    return csv_line((log.date.isoformat(timespec="milliseconds"), log.input, log.output or ""))


ROUTES = [
    DocumentedRoute(
        "/api/projects/{project_id}/deployments/{deployment_id}/logs_download",
        logs_download,
        Operation(
            id="downloadRequestLogs",
            summary="The request logs of a deployment as CSV, oldest first",
            description="Its columns are `date`, `input` and `output`.",
            tag="Files",
            access=BEARER_OR_TICKET,
            responses={200: attachment("The file.", "text/csv")},
            errors=(429,),
        ),
    )
]
