"""Making and revoking API keys."""

from datetime import datetime

import strawberry

from resolvers import api_keys as resolve
from schema.shared.context import Info
from schema.shared.inputs import optional, or_none
from schema.shared.payloads import REPLAY_OF_SECRET, Payload, mutation, outcome
from schema.types.api_keys import ApiKey


@strawberry.input(description="A new key.")
class CreateApiKeyInput:
    """A new key."""

    deployment_id: strawberry.ID | None = optional("What it opens; the account itself where it is absent.")
    name: str = strawberry.field(description="What to call it, at most 200 characters.")
    expires_at: datetime | None = optional(
        "From when on it is refused, in the future; never where it is absent."
    )
    idempotency_key: str | None = optional(REPLAY_OF_SECRET)


@strawberry.type(description="The new key and its secret, which is shown this once.")
class CreateApiKeyPayload(Payload):
    """The new key and its secret."""

    api_key: ApiKey | None = outcome("The key.")
    secret: str | None = outcome("What to send as the bearer token; only its digest is kept.")


@strawberry.input(description="Which key to revoke.")
class RevokeApiKeyInput:
    """Which key to revoke."""

    id: strawberry.ID = strawberry.field(description="The key's TypeID.")


@strawberry.type(description="The revoked key.")
class RevokeApiKeyPayload(Payload):
    """The revoked key."""

    api_key: ApiKey | None = outcome("The key, with `revokedAt`.")


@strawberry.type
class ApiKeyMutations:
    """What may be done with keys."""

    @mutation
    async def create_api_key(self, info: Info, input: CreateApiKeyInput) -> CreateApiKeyPayload:
        """Makes a further key of a deployment, or one of the account's own."""
        key, secret = await resolve.create(
            info.context,
            or_none(input.deployment_id),
            input.name,
            or_none(input.expires_at),
            or_none(input.idempotency_key),
        )
        return CreateApiKeyPayload(api_key=ApiKey.of(key), secret=secret)

    @mutation
    async def revoke_api_key(self, info: Info, input: RevokeApiKeyInput) -> RevokeApiKeyPayload:
        """Refuses a key from now on; a second call changes nothing."""
        return RevokeApiKeyPayload(api_key=ApiKey.of(await resolve.revoke(info.context, input.id)))
