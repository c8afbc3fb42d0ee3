"""Creating and revoking API keys."""

from datetime import datetime

import strawberry

from resolvers import api_keys as resolve
from schema.shared.context import Info
from schema.shared.inputs import optional, or_none
from schema.shared.payloads import SECRET_IDEMPOTENCY_KEY, Payload, mutation, payload_field
from schema.types.api_keys import ApiKey


@strawberry.input(description="The API key to create.")
class CreateApiKeyInput:
    deployment_id: strawberry.ID | None = optional(
        "Deployment that the API key gives access to; absent or null creates "
        "a key of the account, which no endpoint accepts yet."
    )
    name: str = strawberry.field(description="Display name, at most 200 characters.")
    expires_at: datetime | None = optional(
        "Expiry time, in the future; absent or null means that the API key does not expire."
    )
    idempotency_key: str | None = optional(SECRET_IDEMPOTENCY_KEY)


@strawberry.type(description="Result of `createApiKey`.")
class CreateApiKeyPayload(Payload):
    api_key: ApiKey | None = payload_field("The new API key.")
    secret: str | None = payload_field(
        "Secret of the API key, to be sent as the bearer token. Returned only "
        "once: null when the idempotency key was used before."
    )


@strawberry.input(description="The API key to revoke.")
class RevokeApiKeyInput:
    id: strawberry.ID = strawberry.field(description="TypeID of the API key.")


@strawberry.type(description="Result of `revokeApiKey`.")
class RevokeApiKeyPayload(Payload):
    api_key: ApiKey | None = payload_field("The API key, with `revokedAt`.")


@strawberry.type
class ApiKeyMutations:
    @mutation
    async def create_api_key(self, info: Info, input: CreateApiKeyInput) -> CreateApiKeyPayload:
        """Creates an API key for a deployment."""
        key, secret = await resolve.create(
            info.context,
            or_none(input.deployment_id),
            input.name,
            or_none(input.expires_at),
            or_none(input.idempotency_key),
        )
        return CreateApiKeyPayload(api_key=ApiKey.from_domain(key), secret=secret)

    @mutation
    async def revoke_api_key(self, info: Info, input: RevokeApiKeyInput) -> RevokeApiKeyPayload:
        """Revokes an API key: it is rejected from then on. Revoking it again changes nothing."""
        return RevokeApiKeyPayload(api_key=ApiKey.from_domain(await resolve.revoke(info.context, input.id)))
