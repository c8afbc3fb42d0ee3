"""Tickets: short-lived credentials in the URL of a REST download or event stream."""

from datetime import datetime
from typing import Annotated

import strawberry

from resolvers import tickets as resolve
from schema.shared.context import Info


@strawberry.type(
    description="A short-lived credential for one REST path, for clients that cannot send a bearer token."
)
class Ticket:
    ticket: str = strawberry.field(description="Value of the query parameter `ticket`.")
    expires_at: datetime = strawberry.field(description="Expiry time, 10 minutes after creation.")


@strawberry.type
class TicketQueries:
    @strawberry.field(
        description="Creates a ticket for one REST download or event stream, for links and `EventSource`, "
        "which cannot send a bearer token. Append it to the path as `?ticket=`."
    )
    async def ticket(
        self,
        info: Info,
        path: Annotated[
            str,
            strawberry.argument(
                description="REST path below `/api/`, such as a `downloadUrl`; a query string is ignored."
            ),
        ],
    ) -> Ticket:
        ticket, expires_at = resolve.ticket(info.context, path)
        return Ticket(ticket=ticket, expires_at=expires_at)
