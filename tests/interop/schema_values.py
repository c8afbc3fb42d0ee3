"""Values that satisfy a JSON schema, made from a text: the arguments and structured outputs of the scripted model."""

import math
import re
from typing import Any

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
QUOTED = re.compile(r"['\"]([^'\"\n]+)['\"]")
FORMATS = {
    "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05Z",
    "email": "someone@example.org",
    "time": "03:04:05Z",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


class ValueMaker:
    """Makes values in the order of a schema's properties; each takes the next number or quotation of the text."""

    def __init__(self, text: str, root: dict[str, Any]) -> None:
        self._text = text
        self._numbers = [float(number) for number in NUMBER.findall(text)]
        self._quotations = QUOTED.findall(text)
        self._root = root

    def value(self, schema: Any) -> Any:
        """A value that satisfies `schema`: a part of the root, or the root itself."""
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._chosen(schema["enum"])
        make = getattr(self, f"_{_type_of(schema)}")
        return make(schema)

    def _resolved(self, schema: Any) -> dict[str, Any]:
        """The schema with references followed, and the first alternative that is not null."""
        if not isinstance(schema, dict):  # `true` allows anything
            return {}
        if "$ref" in schema:
            target: Any = self._root
            for name in schema["$ref"].removeprefix("#/").split("/"):
                target = target[name]
            return self._resolved(target)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                [first, *_] = [option for option in schema[keyword] if option.get("type") != "null"]
                return self._resolved(first)
        merged = dict(schema)
        for part in merged.pop("allOf", ()):
            merged |= self._resolved(part)
        return merged

    def _chosen(self, options: list[Any]) -> Any:
        """The option that the text mentions, else the first one."""
        return next((option for option in options if str(option).lower() in self._text.lower()), options[0])

    def _object(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {name: self.value(part) for name, part in schema.get("properties", {}).items()}

    def _array(self, schema: dict[str, Any]) -> list[Any]:
        return [self.value(schema.get("items", {})) for _ in range(max(1, schema.get("minItems", 1)))]

    def _string(self, schema: dict[str, Any]) -> str:
        if schema.get("format") in FORMATS:
            return FORMATS[schema["format"]]
        text = self._quotations.pop(0) if self._quotations else self._text
        return str(text[: schema.get("maxLength", len(text))].ljust(schema.get("minLength", 0), "."))

    def _number(self, schema: dict[str, Any]) -> float:
        number = self._numbers.pop(0) if self._numbers else 1.0
        return float(min(max(number, schema.get("minimum", number)), schema.get("maximum", math.inf)))

    def _integer(self, schema: dict[str, Any]) -> int:
        return int(self._number(schema))

    def _boolean(self, _: dict[str, Any]) -> bool:
        return True

    def _null(self, _: dict[str, Any]) -> None:
        return None


def _type_of(schema: dict[str, Any]) -> str:
    """The type of a schema: the first that is not null where it lists several; a string where it names none."""
    type = schema.get("type", "object" if "properties" in schema else "string")
    types = [type] if isinstance(type, str) else type
    return str(next((name for name in types if name != "null"), "null"))
