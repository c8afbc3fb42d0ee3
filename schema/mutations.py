"""How a mutation is made: one payload, and refusals as data."""

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar, get_type_hints

import strawberry

from domain.errors import DomainError, SignInRequired
from schema.errors import UserError

P = TypeVar("P")


@strawberry.type
class Payload:
    """What every mutation's payload has."""

    user_errors: list[UserError] = strawberry.field(
        default_factory=list,
        description="What the caller got wrong; the other fields are null when there is anything.",
    )


def mutation(resolver: Callable[..., Awaitable[P]]) -> Any:
    """A mutation whose refusals become `userErrors`; its docstring is its description."""
    payload = get_type_hints(resolver)["return"]

    @wraps(resolver)
    async def answer(*args: Any, **kwargs: Any) -> P:
        kwargs[
            "info"
        ].context.loaders.clear()  # an earlier mutation of this operation may have changed anything
        try:
            return await resolver(*args, **kwargs)
        except SignInRequired:
            raise
        except DomainError as error:
            return payload(user_errors=[UserError.of(error)])

    return strawberry.mutation(resolver=answer, description=inspect.getdoc(resolver))


@strawberry.input(description="What to delete.")
class DeleteInput:
    """What to delete."""

    id: strawberry.ID


@strawberry.type(description="What was deleted.")
class DeletePayload(Payload):
    """What was deleted."""

    deleted_id: strawberry.ID | None = None
