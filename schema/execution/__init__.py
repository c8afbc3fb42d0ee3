"""The executor: results are computed column by column. It imports no noun, and neither `domain` nor `resolvers`.

`_planner` plans how each field is resolved and completed, as a pure function of schema, document and variables; `_executor`
executes the plan and falls back to graphql-core. The other modules serve these two.
"""

from schema.execution._bound_resolver import ONLY_ID, REQUIRED_ATTRIBUTES
from schema.execution._dataloader import BatchFunction, Deferred, dataloader_of, resolve_deferred
from schema.execution._json import encode_json
from schema.execution._partial_rows import PartialRows
from schema.execution._shared_events import SharedEvent, SharingExecutor
from schema.execution._state import HasOperationState, OperationState, state_of

__all__ = [
    "ONLY_ID",
    "REQUIRED_ATTRIBUTES",
    "BatchFunction",
    "Deferred",
    "HasOperationState",
    "OperationState",
    "PartialRows",
    "SharedEvent",
    "SharingExecutor",
    "dataloader_of",
    "encode_json",
    "resolve_deferred",
    "state_of",
]
