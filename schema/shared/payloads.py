"""Mutations: each has one input and one payload, in which domain errors are data."""

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Annotated, Any, TypeVar, get_type_hints

import strawberry

from domain.errors import DomainError, RateLimited, SignInRequired
from schema.shared.errors import UserError

P = TypeVar("P")


IDEMPOTENCY_KEY = (
    "Idempotency key, at most 200 characters; none when absent or null. For 24 hours, the same key "
    "with the same input returns what the first call created, with other input `CONFLICT`."
)
"""The description of an input's `idempotencyKey`."""
SECRET_IDEMPOTENCY_KEY = f"{IDEMPOTENCY_KEY} The secret is not returned again."
"""The description of an input's `idempotencyKey` where the mutation creates a secret."""


@strawberry.type
class Payload:
    """The base of every mutation's payload."""

    user_errors: list[UserError] = strawberry.field(
        default_factory=list,
        description="Why the mutation was refused; empty on success. When it "
        "is not empty, all other fields are null.",
    )


def payload_field(description: str) -> Any:
    """A field of a payload, which is null where the mutation has user errors."""
    return strawberry.field(default=None, description=description)


def mutation(resolver: Callable[..., Awaitable[P]]) -> Any:
    """A mutation whose domain errors become `userErrors`, but for `SignInRequired` and `RateLimited`, which are raised.

    The docstring of the resolver is the mutation's description; the argument `input` has the description of its type.
    """
    hints = get_type_hints(resolver)
    payload_type, input_type = hints["return"], hints["input"]
    argument = strawberry.argument(description=input_type.__strawberry_definition__.description)
    resolver.__annotations__["input"] = Annotated[input_type, argument]

    @wraps(resolver)
    async def resolve(*args: Any, **kwargs: Any) -> P:
        # an earlier mutation of this operation may have changed what the DataLoaders have cached
        kwargs["info"].context.operation.loaders.clear()
        try:
            return await resolver(*args, **kwargs)
        except (SignInRequired, RateLimited):
            raise
        except DomainError as error:
            return payload_type(user_errors=[UserError.from_domain(error)])

    return strawberry.mutation(resolver=resolve, description=inspect.getdoc(resolver))


@strawberry.input(description="The object to delete.")
class DeleteInput:
    id: strawberry.ID = strawberry.field(
        description="TypeID of the object; `NOT_FOUND` when it is unknown or already deleted."
    )


@strawberry.type(description="Result of a deletion.")
class DeletePayload(Payload):
    deleted_id: strawberry.ID | None = payload_field("TypeID of the deleted object.")
