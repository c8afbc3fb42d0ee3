"""gql, over HTTP and a WebSocket, with a schema that it fetches itself."""

import os

from cases import case, main
from gql import Client, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

URL, TOKEN, JOB_ID = (os.environ[name] for name in ("URL", "TOKEN", "JOB_ID"))
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
VIEWER = gql("{ viewer { id } }")
CREATE = gql("mutation($input: CreateProjectInput!) { createProject(input: $input) { project { name } } }")
EVENTS = gql("subscription($id: ID!) { jobEvents(jobId: $id) { __typename ... on StatusEvent { status } } }")


def over_http(**options):
    return Client(transport=HTTPXAsyncTransport(url=f"{URL}/graphql", headers=HEADERS), **options)


def over_websocket(payload):
    url = URL.replace("http", "ws") + "/graphql"
    return Client(transport=WebsocketsTransport(url=url, init_payload=payload))


@case
async def query():
    async with over_http(fetch_schema_from_transport=True) as session:
        return [*await session.execute(VIEWER), session.client.schema.query_type.name]


@case
async def mutation():
    variables = {"input": {"name": "From gql"}}
    async with over_http() as session:
        return await session.execute(CREATE, variable_values=variables)


@case
async def error():
    try:
        async with over_http() as session:
            await session.execute(gql("{ nothing }"))
    except TransportQueryError as refused:
        return [error["extensions"]["code"] for error in refused.errors]


@case
async def subscription():
    async with over_websocket({"Authorization": f"Bearer {TOKEN}"}) as session:
        return [
            event["jobEvents"]["status"]
            async for event in session.subscribe(EVENTS, variable_values={"id": JOB_ID})
        ]


@case
async def headers_in_connection_init():
    async with over_websocket({"headers": HEADERS}) as session:
        return list(await session.execute(VIEWER))


main()
