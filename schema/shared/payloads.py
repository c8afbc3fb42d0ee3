"""How a mutation is made: one payload, and refusals as data."""

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Annotated, Any, TypeVar, get_type_hints

import strawberry

from domain.errors import DomainError, RateLimited, SignInRequired
from schema.shared.errors import UserError

P = TypeVar("P")


REPLAY = (
    "Idempotency key, at most 200 characters: for 24 hours, the same key with the same input "
    "returns what the first call created, with other input `CONFLICT`."
)
"""What an input's `idempotencyKey` is for."""
REPLAY_OF_SECRET = f"{REPLAY} The secret is not returned again."
"""The same, where what is made comes with a secret."""


@strawberry.type
class Payload:
    """What every mutation's payload has."""

    user_errors: list[UserError] = strawberry.field(
        default_factory=list,
        description="Why the mutation was refused; empty on success. When it "
        "is not empty, all other fields are null.",
    )


def outcome(description: str) -> Any:
    """A payload's field: null where the mutation was refused."""
    return strawberry.field(default=None, description=description)


def mutation(resolver: Callable[..., Awaitable[P]]) -> Any:
    """A mutation whose refusals become `userErrors`; its docstring is its description, `input` has its type's."""
    hints = get_type_hints(resolver)
    payload, taken = hints["return"], hints["input"]
    words = strawberry.argument(description=taken.__strawberry_definition__.description)
    resolver.__annotations__["input"] = Annotated[taken, words]

    @wraps(resolver)
    async def answer(*args: Any, **kwargs: Any) -> P:
        # an earlier mutation of this operation may have changed anything
        kwargs["info"].context.operation.loaders.clear()
        try:
            return await resolver(*args, **kwargs)
        except (SignInRequired, RateLimited):
            raise
        except DomainError as error:
            return payload(user_errors=[UserError.of(error)])

    return strawberry.mutation(resolver=answer, description=inspect.getdoc(resolver))


@strawberry.input(description="The object to delete.")
class DeleteInput:
    """The input of every deletion."""

    id: strawberry.ID = strawberry.field(
        description="TypeID of the object; `NOT_FOUND` when it is unknown or already deleted."
    )


@strawberry.type(description="Result of a deletion.")
class DeletePayload(Payload):
    """The payload of every deletion."""

    deleted_id: strawberry.ID | None = outcome("TypeID of the deleted object.")
