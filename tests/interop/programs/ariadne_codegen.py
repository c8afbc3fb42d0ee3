"""A client that ariadne-codegen generated from the schema of the server."""

import os

from cases import case, main
from luthier_client import Client
from luthier_client.exceptions import GraphQLClientGraphQLMultiError

URL, TOKEN, JOB_ID = (os.environ[name] for name in ("URL", "TOKEN", "JOB_ID"))


def client(token=TOKEN):
    headers = {"Authorization": f"Bearer {token}"}
    url = URL.replace("http", "ws") + "/graphql"
    return Client(url=f"{URL}/graphql", headers=headers, ws_url=url, ws_connection_init_payload=headers)


@case
async def query():
    return (await client().viewer()).viewer.email.endswith("@example.org")


@case
async def mutation():
    payload = (await client().create_project("From ariadne-codegen")).create_project
    return [payload.project.name, payload.user_errors]


@case
async def user_error():
    return [error.reason for error in (await client().create_project(" ")).create_project.user_errors]


@case
async def wrong_token():
    try:
        await client("wrong").create_project("With a wrong token")
    except GraphQLClientGraphQLMultiError as refused:
        return [error.extensions["code"] for error in refused.errors]


@case
async def subscription():
    return [event.job_events.status async for event in client().job_events(JOB_ID)]


main()
