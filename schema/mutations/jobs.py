"""Cancelling jobs."""

import strawberry

from resolvers import jobs as resolve
from schema.shared.context import Info
from schema.shared.payloads import Payload, mutation, payload_field
from schema.types.jobs import Job


@strawberry.input(description="The job to cancel.")
class CancelJobInput:
    id: strawberry.ID = strawberry.field(description="TypeID of the job.")


@strawberry.type(description="Result of `cancelJob`.")
class JobPayload(Payload):
    job: Job | None = payload_field("The job, `CANCELLED`.")


@strawberry.type
class JobMutations:
    @mutation
    async def cancel_job(self, info: Info, input: CancelJobInput) -> JobPayload:
        """Cancels a job that has not ended. A cancelled import adds no items; a cancelled training saves a checkpoint."""
        return JobPayload(job=Job.from_domain(await resolve.cancel(info.context, input.id)))
