"""Cancelling jobs."""

import strawberry

from resolvers import jobs as resolve
from schema.shared.context import Info
from schema.shared.payloads import Payload, mutation, outcome
from schema.types.jobs import Job


@strawberry.input(description="Which job to cancel.")
class CancelJobInput:
    """Which job to cancel."""

    id: strawberry.ID = strawberry.field(description="The job's TypeID.")


@strawberry.type(description="A job.")
class JobPayload(Payload):
    """A job."""

    job: Job | None = outcome("The job as it is now.")


@strawberry.type
class JobMutations:
    """What may be done with jobs."""

    @mutation
    async def cancel_job(self, info: Info, input: CancelJobInput) -> JobPayload:
        """Cancels a job that has not ended; what it had done stays."""
        return JobPayload(job=Job.of(await resolve.cancel(info.context, input.id)))
