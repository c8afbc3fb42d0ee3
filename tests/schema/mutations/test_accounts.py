"""Signing up and in, over GraphQL."""

import statistics
import time
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest

from app.settings import Settings
from infra.security import Argon2Passwords
from tests.clients import Api

pytestmark = pytest.mark.anyio

REGISTER = """mutation($input: RegisterInput!) { register(input: $input) {
  accessToken tokenType expiresAt user { id email name currentPlan billingCycle }
  userErrors { code reason field message } } }"""
LOGIN = """mutation($input: LoginInput!) { login(input: $input) {
  accessToken user { id } userErrors { code reason message } } }"""
VIEWER = "{ viewer { id email usage { queriesUsed finetuneJobs datasetsCount tokensUsed } } }"


async def post(rest: httpx.AsyncClient, document: str, token: str | None = None, **given: str) -> dict:  # type: ignore[type-arg]
    headers = {"authorization": f"Bearer {token}"} if token else {}
    body = {"query": document, "variables": {"input": given} if given else {}}
    response = await rest.post("/graphql", json=body, headers=headers)
    return dict(response.json())


async def test_registering_signs_in(anonymous: httpx.AsyncClient) -> None:
    made = await post(anonymous, REGISTER, email=" Ada@Example.org ", password="secret", name=" Ada ")
    payload = made["data"]["register"]
    assert payload["userErrors"] == []
    assert payload["tokenType"] == "bearer"
    assert payload["user"] | {"id": ""} == {
        "id": "", "email": "ada@example.org", "name": "Ada", "currentPlan": "self-hosted", "billingCycle": None,
    }  # fmt: skip
    seen = await post(anonymous, VIEWER, payload["accessToken"])
    assert seen["data"]["viewer"] == {
        "id": payload["user"]["id"],
        "email": "ada@example.org",
        "usage": {"queriesUsed": 0, "finetuneJobs": 0, "datasetsCount": 0, "tokensUsed": 0},
    }


@pytest.mark.parametrize(
    ("given", "reason", "field"),
    [
        ({"email": "nobody"}, "INVALID_EMAIL", "email"),
        ({"password": "12345"}, "INVALID_PASSWORD", "password"),
        ({"name": "  "}, "REQUIRED", "name"),
    ],
)
async def test_a_wrong_registration_says_which_field(
    anonymous: httpx.AsyncClient, given: dict[str, str], reason: str, field: str
) -> None:
    valid = {"email": "a@example.org", "password": "secret", "name": "A"}
    payload = (await post(anonymous, REGISTER, **(valid | given)))["data"]["register"]
    assert payload["user"] is None
    assert [(error["code"], error["reason"], error["field"]) for error in payload["userErrors"]] == [
        ("INVALID", reason, [field])
    ]


async def test_an_email_has_one_account_whatever_its_case(api: Api, anonymous: httpx.AsyncClient) -> None:
    email = (await api.gql("{ viewer { email } }"))["viewer"]["email"]
    payload = (await post(anonymous, REGISTER, email=email.upper(), password="secret", name="B"))["data"][
        "register"
    ]
    assert [(error["code"], error["reason"]) for error in payload["userErrors"]] == [
        ("CONFLICT", "EMAIL_TAKEN")
    ]


async def test_the_usage_in_a_payload_of_login_is_that_of_the_new_user_whoever_sent_it(
    api: Api, anonymous: httpx.AsyncClient
) -> None:
    user = "user { id usage { finetuneJobs datasetsCount } } userErrors { message }"
    document = f"mutation($input: LoginInput!) {{ login(input: $input) {{ {user} }} }}"
    theirs = (await post(anonymous, REGISTER, email="u@example.org", password="secret", name="U"))["data"]
    for client, token in ((anonymous, None), (api.rest, api.token)):
        found = await post(client, document, token, email="u@example.org", password="secret")
        assert found["data"]["login"] == {
            "user": {
                "id": theirs["register"]["user"]["id"],
                "usage": {"finetuneJobs": 0, "datasetsCount": 0},
            },
            "userErrors": [],
        }


async def test_login_gives_a_token_and_a_wrong_password_none(anonymous: httpx.AsyncClient) -> None:
    await post(anonymous, REGISTER, email="c@example.org", password="secret", name="C")
    right = (await post(anonymous, LOGIN, email="C@example.org", password="secret"))["data"]["login"]
    assert right["userErrors"] == []
    assert right["accessToken"]
    wrong = (await post(anonymous, LOGIN, email="c@example.org", password="secres"))["data"]["login"]
    unknown = (await post(anonymous, LOGIN, email="d@example.org", password="secret"))["data"]["login"]
    assert wrong == unknown
    assert wrong["userErrors"][0]["reason"] == "INVALID_CREDENTIALS"


async def test_an_unknown_account_takes_the_hashing_that_a_wrong_password_takes() -> None:
    passwords = Argon2Passwords()
    kept = await passwords.hash("secret")

    async def cpu_s(password_hash: str | None) -> float:
        started = time.process_time()  # of all threads: the hashing, not the waiting
        assert not await passwords.verify(password_hash, "wrong password")
        return time.process_time() - started

    await cpu_s(None)  # makes the hash that nobody has
    wrong = statistics.median([await cpu_s(kept) for _ in range(3)])
    unknown = statistics.median([await cpu_s(None) for _ in range(3)])
    assert 1 / 3 < unknown / wrong < 3


async def test_a_signed_out_client_has_no_viewer_and_may_read_nothing(anonymous: httpx.AsyncClient) -> None:
    assert (await post(anonymous, "{ viewer { id } }"))["data"] == {"viewer": None}
    refused = await post(anonymous, "{ projects { nodes { id } } }")
    assert [error["extensions"]["code"] for error in refused["errors"]] == ["UNAUTHENTICATED"]


@pytest.mark.parametrize("flaw", ["expired", "forged", "unsigned", "another audience"])
async def test_an_invalid_token_has_no_viewer(
    api: Api, anonymous: httpx.AsyncClient, settings: Settings, flaw: str
) -> None:
    ends = datetime.now(UTC) + timedelta(hours=-1 if flaw == "expired" else 1)
    claims = {
        "sub": api.user_id,
        "aud": "elsewhere" if flaw == "another audience" else "luthier",
        "exp": ends,
    }
    key = "another secret of sufficient length!" if flaw == "forged" else settings.secret_key
    token = jwt.encode(claims, None if flaw == "unsigned" else key, "none" if flaw == "unsigned" else "HS256")
    assert (await post(anonymous, "{ viewer { id } }", token))["data"] == {"viewer": None}
