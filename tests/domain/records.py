"""Records for tests of the domain's rules."""

from datetime import UTC, datetime

from domain.datasets import Dataset
from domain.documents import Document, DocumentKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DATASET = Dataset(
    id="ds_1",
    project_id="prj_1",
    owner_id="user_1",
    version=1,
    name="Capitals",
    input_field="question",
    output_field="answer",
    field_names=("question", "answer", "note"),
    created_at=NOW,
    updated_at=NOW,
)
DOCUMENT = Document(
    id="doc_1",
    project_id="prj_1",
    filename="table.csv",
    kind=DocumentKind.DATASET_UPLOAD,
    mime_type="text/csv",
    created_at=NOW,
)
