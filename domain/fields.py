"""The fields of a dataset: which names make one, and what may be said of them."""

from typing import Any

from domain.errors import Invalid
from domain.rules import bounded, named

MAX_FIELDS = 50


def check_fields(names: tuple[str, ...], input_field: str, output_field: str) -> None:
    """Raise `Invalid` unless the names differ and hold both the input and the output, two different ones."""
    if not 2 <= len(names) <= MAX_FIELDS:
        raise Invalid(
            f"A dataset needs from 2 to {MAX_FIELDS} fields.", reason="INVALID_FIELDS", field="fieldNames"
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Invalid(f"The field '{twice[0]}' is named twice.", reason="DUPLICATE_FIELD", field="fieldNames")
    for field, name in (("inputField", input_field), ("outputField", output_field)):
        if name not in names:
            raise Invalid(
                f"`{field}` is '{name}', which is not one of the field names {', '.join(names)}.",
                reason="UNKNOWN_FIELD",
                field=field,
            )
    if input_field == output_field:
        raise Invalid("Input and output must be two fields.", reason="INVALID_FIELDS", field="outputField")


def check_descriptions(fields: Any) -> None:
    """Raise `Invalid` unless `fields` is None, or says of each field in words what it holds."""
    if fields is None:
        return
    if not isinstance(fields, dict) or not all(isinstance(it, str) for it in fields.values()):
        raise Invalid(
            "`jsonObjectFields` is an object: a text for each field name.",
            reason="INVALID_JSON_FIELDS",
            field="jsonObjectFields",
        )
    if len(fields) > MAX_FIELDS:
        raise Invalid(
            f"`jsonObjectFields` may have at most {MAX_FIELDS} fields.",
            reason="INVALID_JSON_FIELDS",
            field="jsonObjectFields",
        )
    for name, description in fields.items():
        bounded(named(name, "jsonObjectFields"), "jsonObjectFields")
        bounded(description, "jsonObjectFields")


def check_language(code: str) -> None:
    """Raise `Invalid` unless a language is named as ISO 639-3 does."""
    if not (len(code) == 3 and code.isascii() and code.isalpha() and code.islower()):
        raise Invalid(
            "`languageIso` is a code of three lower-case letters, such as eng or deu.",
            reason="INVALID_LANGUAGE",
            field="languageIso",
        )
