"""Uploads: media types, file names and limits on size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.documents import (
    DocumentKind,
    UploadLimits,
    check_file_size,
    check_project_quota,
    media_type,
    validated_filename,
)
from domain.errors import Invalid, LimitExceeded
from domain.rules import safe_name

RAW, TABLE = DocumentKind.RAW_DOC, DocumentKind.DATASET_UPLOAD
LIMITS = UploadLimits(file_bytes=50 * 1_048_576, project_bytes=500 * 1_048_576)


@pytest.mark.parametrize(
    ("kind", "filename", "declared", "stored"),
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
def test_the_stored_media_type_is_that_of_the_declared_type_or_the_extension(
    kind: DocumentKind, filename: str, declared: str, stored: str
) -> None:
    assert media_type(kind, filename, declared) == stored


@pytest.mark.parametrize(
    ("kind", "filename", "declared"),
    [
        (RAW, "a.exe", "application/x-executable"),
        (RAW, "a.csv", "text/csv"),
        (TABLE, "a.exe", ""),
        (TABLE, "a", ""),
    ],
)
def test_a_type_that_the_kind_does_not_accept_is_refused(
    kind: DocumentKind, filename: str, declared: str
) -> None:
    with pytest.raises(Invalid, match=f"'{filename}' has the type"):
        media_type(kind, filename, declared)


@pytest.mark.parametrize(
    ("name", "valid_name"),
    [("a.csv", "a.csv"), ("../../etc/passwd", "passwd"), ("C:\\x\\Ünï cödé.csv", "Ünï cödé.csv"), (" a\n\0.csv", "a.csv")],
)  # fmt: skip
def test_the_path_and_control_characters_of_a_file_name_are_removed(name: str, valid_name: str) -> None:
    assert validated_filename(name).replace("\ufffd", "") == valid_name


@given(name=st.text())
def test_no_file_name_leads_out_of_its_folder(name: str) -> None:
    try:
        valid_name = validated_filename(name)
    except Invalid:
        return
    assert valid_name.encode()
    assert safe_name(valid_name) not in {"", ".", ".."}
    assert not {"/", "\\", "\x00"} & set(valid_name)


def test_the_limits_in_messages_are_in_megabytes() -> None:
    with pytest.raises(LimitExceeded, match="exceeds the maximum size of 50 MiB") as refused:
        check_file_size(LIMITS.file_bytes + 1, LIMITS)
    assert refused.value.context == {"limitBytes": LIMITS.file_bytes}
    with pytest.raises(LimitExceeded, match="would exceed 500 MiB"):
        check_project_quota(1, LIMITS.project_bytes, LIMITS)
    check_file_size(LIMITS.file_bytes, LIMITS)
    check_project_quota(1, LIMITS.project_bytes - 1, LIMITS)
