"""Downloads of datasets."""

from enum import StrEnum
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from domain.datasets import Dataset, RunStatus
from domain.errors import Conflict, Invalid
from domain.items import ItemSelection
from domain.rate_limits import CallKind
from domain.rules import safe_name
from domain.splits import Split
from rest.dataset_formats import JSON, JSONL, LINE_FORMATS, RAW_CSV, TEXT_FORMATS, FormatName, items_as_text
from rest.endpoints import endpoint, require_of_path, services_of, viewer_id
from rest.format_checks import check_holds
from rest.operations import BEARER_OR_TICKET, DocumentedRoute, Operation, attachment, query, query_choice
from rest.rate_limits import rate_limited
from rest.streaming import ClosingStreamingResponse, TemporaryFileResponse, batched
from rest.xlsx_downloads import xlsx_file
from rest.xlsx_tables import MEDIA_TYPE as XLSX

Choice = TypeVar("Choice", bound=StrEnum)
CLIENT_CLOSED_REQUEST = 499
"""nginx's status of a request whose client left: nobody reads it."""


@endpoint
@rate_limited(CallKind.READS)
async def download(request: Request) -> Response:
    """The items of a dataset as a file. Parameters: `format`, `items`, `split` and `raw`."""
    viewer = viewer_id(request, allow_ticket=True)
    format = _choice(request, "format", FormatName, "UNSUPPORTED_FORMAT") or FormatName.CSV
    selection = _choice(request, "items", ItemSelection) or ItemSelection.ACTIVE
    split = _choice(request, "split", Split)
    is_raw = _flag(request, "raw")
    dataset = await _require_done(request, viewer)
    headers = {"Content-Disposition": f'attachment; filename="{_filename(dataset, format)}"'}
    try:
        if format is FormatName.XLSX:
            return await _xlsx_response(request, dataset, split, selection, headers)
        await check_holds(request, format, dataset, split, selection)
    except ClientDisconnect:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    text_format = RAW_CSV if is_raw and format is FormatName.CSV else TEXT_FORMATS[format]
    return ClosingStreamingResponse(
        batched(items_as_text(services_of(request).transactions, dataset, text_format, split, selection)),
        media_type=text_format.media_type,
        headers=headers,
    )


async def _xlsx_response(
    request: Request, dataset: Dataset, split: Split | None, selection: ItemSelection, headers: dict[str, str]
) -> Response:
    if request.method == "HEAD":
        return Response(headers=headers, media_type=XLSX)
    file = await xlsx_file(request, dataset, split, selection)
    return TemporaryFileResponse(file, media_type=XLSX, headers=headers)


def _filename(dataset: Dataset, format: FormatName) -> str:
    """The name of the file: of `format=openai`, `chats_v1.openai.jsonl`."""
    ending = f"{format}.jsonl" if format in LINE_FORMATS else format
    return f"{safe_name(dataset.name)}_v{dataset.version}.{ending}"


def _flag(request: Request, name: str) -> bool:
    """Whether a query parameter is 1 or true; raises `Invalid` unless it is that, 0, false or absent."""
    given = request.query_params.get(name, "0").lower()
    if given not in {"0", "1", "false", "true"}:
        raise Invalid(f"`{name}` is 0 or 1, not '{given[:50]}'.", reason="INVALID_PARAMETER")
    return given in {"1", "true"}


def _choice(
    request: Request, name: str, choices: type[Choice], reason: str = "INVALID_PARAMETER"
) -> Choice | None:
    """A query parameter as a member of an enum, in any case; raises `Invalid`."""
    given = request.query_params.get(name)
    if given is None:
        return None
    for choice in choices:
        if choice.value.lower() == given.lower():
            return choice
    raise Invalid(f"`{name}` is one of {', '.join(choices)}, not '{given[:50]}'.", reason=reason)


async def _require_done(request: Request, viewer: str) -> Dataset:
    """The dataset of the path; raises `NotFound`, or `Conflict` while it is not DONE."""
    dataset = await require_of_path(request, lambda store: store.datasets, "dataset_id", viewer_id=viewer)
    if dataset.status is not RunStatus.DONE:
        raise Conflict(
            f"The dataset is {dataset.status}; it can be downloaded once it is DONE.", reason="NOT_READY"
        )
    return dataset


ROUTES = [
    DocumentedRoute(
        "/api/projects/{project_id}/training-datasets/{dataset_id}/download",
        download,
        Operation(
            id="downloadDataset",
            summary="The items of a dataset as a file",
            description="In .xlsx files all cells are text. `jsonl` and `json` have the fields of each item as texts; "
            "`openai`, `alpaca`, `sharegpt` and `trl` are JSON Lines of conversations, preference pairs, or prompts with "
            "completions. What a format cannot hold is 409 `FORMAT_CANNOT_HOLD`.",
            tag="Files",
            access=BEARER_OR_TICKET,
            parameters=(
                query_choice("format", "The format of the file.", FormatName, default=FormatName.CSV),
                query_choice("items", "Which items.", ItemSelection, default=ItemSelection.ACTIVE),
                query_choice("split", "The items of one split; without it, of all.", Split),
                query("raw", "Whether CSV has formulas as they are.", {"enum": ["0", "1", "false", "true"]}),
            ),
            responses={200: attachment("The file.", "text/csv", JSONL.media_type, JSON.media_type, XLSX)},
            errors=(400, 409, 429),
        ),
    )
]
