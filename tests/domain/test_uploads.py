"""Uploads: which types a kind takes, under which name and size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.documents import DocumentKind, UploadLimits, check_room, check_size, clean_filename, media_type
from domain.errors import Invalid, LimitExceeded
from domain.rules import safe_name

RAW, TABLE = DocumentKind.RAW_DOC, DocumentKind.DATASET_UPLOAD
LIMITS = UploadLimits(file_bytes=50 * 1_048_576, project_bytes=500 * 1_048_576)


@pytest.mark.parametrize(
    ("kind", "filename", "declared", "kept"),
    [
        (RAW, "a.pdf", "application/pdf", "application/pdf"),
        (RAW, "a.PDF", "", "application/pdf"),
        (RAW, "a.md", "text/plain; charset=utf-8", "text/markdown"),
        (RAW, "a.csv", "text/plain", "text/plain"),
        (TABLE, "a.csv", "Text/CSV", "text/csv"),
        (TABLE, "a.csv", "application/vnd.ms-excel", "text/csv"),
        (TABLE, "a.tsv", "application/octet-stream", "text/csv"),
        (TABLE, "a.jsonl", "application/json", "application/jsonl"),
        (TABLE, "a.jsonl", "application/x-ndjson", "application/jsonl"),
        (TABLE, "a.json", "application/json", "application/json"),
        (TABLE, "a.txt", "text/plain", "text/plain"),
        (TABLE, "a", "text/csv", "text/csv"),
    ],
)
def test_a_file_is_kept_under_the_type_that_it_has(
    kind: DocumentKind, filename: str, declared: str, kept: str
) -> None:
    assert media_type(kind, filename, declared) == kept


@pytest.mark.parametrize(
    ("kind", "filename", "declared"),
    [
        (RAW, "a.exe", "application/x-executable"),
        (RAW, "a.csv", "text/csv"),
        (TABLE, "a.exe", ""),
        (TABLE, "a", ""),
    ],
)
def test_a_type_that_a_kind_does_not_take_is_refused(
    kind: DocumentKind, filename: str, declared: str
) -> None:
    with pytest.raises(Invalid, match=f"'{filename}' has the type"):
        media_type(kind, filename, declared)


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [("a.csv", "a.csv"), ("../../etc/passwd", "passwd"), ("C:\\x\\Ünï cödé.csv", "Ünï cödé.csv"), (" a\n\0.csv", "a.csv")],
)  # fmt: skip
def test_a_name_is_kept_without_its_path(given_name: str, kept: str) -> None:
    assert clean_filename(given_name).replace("\ufffd", "") == kept


@given(name=st.text())
def test_no_name_leads_out_of_its_folder(name: str) -> None:
    try:
        kept = clean_filename(name)
    except Invalid:
        return
    assert kept.encode()
    assert safe_name(kept) not in {"", ".", ".."}
    assert not {"/", "\\", "\x00"} & set(kept)


def test_the_limits_are_said_in_megabytes() -> None:
    with pytest.raises(LimitExceeded, match="exceeds the maximum size of 50 MB") as refused:
        check_size(LIMITS.file_bytes + 1, LIMITS)
    assert refused.value.context == {"limitBytes": LIMITS.file_bytes}
    with pytest.raises(LimitExceeded, match="would exceed 500 MB"):
        check_room(1, LIMITS.project_bytes, LIMITS)
    check_size(LIMITS.file_bytes, LIMITS)
    check_room(1, LIMITS.project_bytes - 1, LIMITS)
