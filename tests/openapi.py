"""Values compared with schemas of the OpenAPI document."""

from typing import Any

from jsonschema import Draft202012Validator

Document = dict[str, Any]


def problems(document: Document, described: Document, value: Any) -> list[str]:
    """What a value breaks of the JSON schema of a body or response of the document."""
    schema = described["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**schema, "components": document["components"]})
    return [error.message for error in validator.iter_errors(value)]
