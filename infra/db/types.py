"""Column types: ids are TypeIDs in Python and `uuid` in the database; enums are their names."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BindParameter, ColumnElement, Text, TypeDecorator, Uuid, cast
from sqlalchemy.engine import Dialect

from domain import ids


class Id(TypeDecorator[str]):
    """A TypeID of one noun.

    What is not such an id binds as NULL, which equals nothing: a garbage id is simply not found.
    """

    impl = Uuid
    cache_ok = True

    def __init__(self, noun: ids.Noun) -> None:
        super().__init__()
        self.prefix = ids.PREFIXES[noun]

    def process_bind_param(self, value: str | None, dialect: Dialect) -> UUID | None:  # noqa: ARG002
        """What the database compares with."""
        return ids.uuid_of(value, self.prefix) if value else None

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], str | None]:  # noqa: ARG002
        """What Python sees of the bytes that our connections read. It is called without SQLAlchemy's calls around it."""
        prefix, id_of = self.prefix, ids.id_of
        return lambda value: None if value is None else id_of(value, prefix)


class Ids(TypeDecorator[list[str]]):
    """TypeIDs of one noun that a statement is told, as one text: a driver takes long over hundreds of UUIDs."""

    impl = Text
    cache_ok = True

    def __init__(self, noun: Id) -> None:
        super().__init__()
        self.prefix = noun.prefix

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> str:  # noqa: ARG002
        """An array as PostgreSQL writes it; garbage is NULL, as for `Id`."""
        found = (ids.bytes_of(it, self.prefix) for it in value or ())
        return "{" + ",".join("NULL" if it is None else it.hex() for it in found) + "}"

    def bind_expression(self, bindparam: BindParameter[Any]) -> ColumnElement[Any]:
        """Read as an array."""
        return cast(bindparam, ARRAY(Uuid))


class AnyId(TypeDecorator[str]):
    """A TypeID of whichever noun, kept with its prefix: it refers to several tables."""

    impl = Text
    cache_ok = True


class Name(TypeDecorator[StrEnum]):
    """A member of a StrEnum, kept as text: a new member needs no migration."""

    impl = Text
    cache_ok = True

    def __init__(self, enum: type[StrEnum]) -> None:
        super().__init__()
        self._members = {str(it): it for it in enum}

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """The member's name."""
        return None if value is None else str(value)

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], StrEnum | None]:  # noqa: ARG002
        """The member, looked up with nothing around it."""
        members: Mapping[Any, StrEnum | None] = {None: None, **self._members}
        return members.__getitem__
