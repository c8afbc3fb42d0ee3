"""Column types: TypeIDs as `uuid`, enums as their names, dataclasses as JSON."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import ARRAY, BindParameter, ColumnElement, Text, TypeDecorator, Uuid, cast
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect

from domain import ids
from domain.texts import replace_invalid_characters


class Id(TypeDecorator[str]):
    """A TypeID of one noun.

    A garbage id binds as NULL, which equals nothing, and so is not found.
    """

    impl = Uuid
    cache_ok = True

    def __init__(self, noun: ids.Noun) -> None:
        super().__init__()
        self.prefix = ids.PREFIXES[noun]

    def process_bind_param(self, value: str | None, dialect: Dialect) -> UUID | None:  # noqa: ARG002
        """The UUID; None for a garbage id."""
        return ids.uuid_of(value, self.prefix) if value else None

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], str | None]:  # noqa: ARG002
        """The TypeID of the bytes that our connections load."""
        prefix, id_of = self.prefix, ids.id_of
        return lambda value: None if value is None else id_of(value, prefix)


class Ids(TypeDecorator[list[str]]):
    """TypeIDs of one noun as one text parameter: a driver is slow with hundreds of UUIDs."""

    impl = Text
    cache_ok = True

    def __init__(self, noun: Id) -> None:
        super().__init__()
        self.prefix = noun.prefix

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> str:  # noqa: ARG002
        """An array as PostgreSQL writes it; a garbage id is NULL."""
        uuids = (ids.bytes_of(id, self.prefix) for id in value or ())
        return "{" + ",".join("NULL" if uuid is None else uuid.hex() for uuid in uuids) + "}"

    def bind_expression(self, bindparam: BindParameter[Any]) -> ColumnElement[Any]:
        """Cast the text to an array."""
        return cast(bindparam, ARRAY(Uuid))


class AnyId(TypeDecorator[str]):
    """A TypeID of any noun, stored with its prefix: a reference to one of several tables."""

    impl = Text
    cache_ok = True


class Name(TypeDecorator[StrEnum]):
    """A member of a StrEnum, stored as text: a new member needs no migration."""

    impl = Text
    cache_ok = True

    def __init__(self, enum: type[StrEnum]) -> None:
        super().__init__()
        self._members = {str(member): member for member in enum}

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """The member's name."""
        return None if value is None else str(value)

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], StrEnum | None]:  # noqa: ARG002
        """The member of a name."""
        members: Mapping[Any, StrEnum | None] = {None: None, **self._members}
        return members.__getitem__


class Names(TypeDecorator[tuple[StrEnum, ...]]):
    """Members of a StrEnum, stored as an array of texts."""

    impl = ARRAY(Text)
    cache_ok = True

    def __init__(self, enum: type[StrEnum]) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> list[str] | None:  # noqa: ARG002
        """The members' names."""
        return None if value is None else [str(member) for member in value]

    def result_processor(
        self,
        dialect: Dialect,  # noqa: ARG002
        coltype: Any,  # noqa: ARG002
    ) -> Callable[[Any], tuple[StrEnum, ...] | None]:
        """The members of an array of names."""
        member = self.enum
        return lambda value: None if value is None else tuple(member(name) for name in value)


class Texts(TypeDecorator[tuple[str, ...]]):
    """An array of texts, a tuple in Python."""

    impl = ARRAY(Text)
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> list[str] | None:  # noqa: ARG002
        """A list of texts that PostgreSQL can store."""
        return None if value is None else [replace_invalid_characters(text) for text in value]

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], tuple[str, ...] | None]:  # noqa: ARG002
        return lambda value: None if value is None else tuple(value)


class Json(TypeDecorator[Any]):
    """JSONB that pydantic writes from one Python type, and reads into it."""

    impl = JSONB
    cache_ok = True

    def __init__(self, python: Any) -> None:
        super().__init__(none_as_null=True)
        self.python = python
        self.adapter = TypeAdapter[Any](python)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """JSON with texts that PostgreSQL can store."""
        return None if value is None else _storable(self.adapter.dump_python(value, mode="json"))

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any]:  # noqa: ARG002
        """The Python type from the JSON that psycopg has parsed."""
        validate = self.adapter.validate_python
        return lambda value: None if value is None else validate(value)


def _storable(json: Any) -> Any:
    if isinstance(json, dict):
        return {name: _storable(value) for name, value in json.items()}
    if isinstance(json, list):
        return [_storable(value) for value in json]
    return replace_invalid_characters(json) if isinstance(json, str) else json
