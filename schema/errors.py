"""What the caller got wrong, as data."""

import strawberry
from strawberry.utils.str_converters import to_camel_case

from domain.errors import DomainError, ErrorCode
from schema.base import enumeration
from schema.scalars import JSON

enumeration(
    ErrorCode,
    "The kind of refusal.",
    INVALID="The input breaks a rule.",
    UNAUTHENTICATED="The credentials are wrong.",
    NOT_FOUND="There is no such thing, or it is another's.",
    CONFLICT="It is not in a state that allows this.",
    FORBIDDEN="It may be seen, but this may not be done.",
    LIMIT_EXCEEDED="It is too large, too many, or too often.",
    UNAVAILABLE="Something that this needs does not answer; the same call may work later.",
)


@strawberry.type(description="What the caller got wrong, as data.")
class UserError:
    """What the caller got wrong, as data."""

    code: ErrorCode = strawberry.field(description="The kind of refusal.")
    message: str = strawberry.field(description="One sentence for a person.")
    field: list[str] | None = strawberry.field(description="The path inside the input.")
    reason: str = strawberry.field(
        description="What exactly, UPPER_SNAKE: TRAINING_ALREADY_RUNNING. The same word as error_code over REST."
    )
    context: JSON | None = strawberry.field(description="Facts that help to mend it.")

    @classmethod
    def of(cls, error: DomainError) -> "UserError":
        """A refusal as the API shows it."""
        return cls(
            code=error.code,
            message=error.message,
            field=path(error),
            reason=error.reason,
            context=error.context or None,
        )


def path(error: DomainError) -> list[str] | None:
    """The path inside the input, in GraphQL's spelling."""
    if error.field is None:
        return None
    return [to_camel_case(part) for name in error.field for part in name.split(".")]
