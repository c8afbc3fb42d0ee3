"""Problems that other items cause, over GraphQL: duplicates, near duplicates and contradictions; and warnings."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.datasets import RunStatus
from domain.item_problems import Problem, ProblemCode
from domain.items import Item, ItemOrigin, new_item
from domain.reading import require
from domain.services import Services
from tests.clients import Api
from tests.conftest import Worker
from tests.finetuning import create_finetune
from tests.importing import fetch_dataset, import_file, imported_dataset, item_values, items, new_qa_dataset

pytestmark = pytest.mark.anyio

ITEM = "id isValid problems { code }"
COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def table(*rows: tuple[str, str]) -> str:
    """A CSV file with these rows."""
    lines = (f'"{question}","{answer}"' for question, answer in rows)
    return "\n".join(["question,answer", *lines])


async def shown(api: Api, dataset_id: str) -> list[tuple[bool, list[str]]]:
    """Whether each active item is valid, and the codes of its problems."""
    found = await items(api, dataset_id, ITEM, active=True)
    return [(item["isValid"], [problem["code"] for problem in item["problems"]]) for item in found]


async def shown_after_import(
    api: Api, worker: Worker, *rows: tuple[str, str]
) -> list[tuple[bool, list[str]]]:
    return await shown(api, await imported_dataset(api, worker, table(*rows)))


VALID: tuple[bool, list[str]] = (True, [])
DUPLICATE = (False, ["DUPLICATE"])
NEAR_DUPLICATE = (True, ["NEAR_DUPLICATE"])
CONTRADICTION = (True, ["CONTRADICTION"])


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (COMPOSED, "yes"),
        (DECOMPOSED, "yes"),
        (f"{COMPOSED} \t", "yes\u00a0"),
        (f"{DECOMPOSED}\u3000", "yes\n"),
    ],
)
async def test_the_same_characters_apart_from_white_space_at_the_end_are_a_duplicate(
    api: Api, worker: Worker, question: str, answer: str
) -> None:
    assert await shown_after_import(api, worker, (COMPOSED, "yes"), (question, answer)) == [VALID, DUPLICATE]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("  Grüße an \u01f0oe", "yes"),
        ("Grüße  an \u01f0oe", "yes"),
        ("GRÜSSE AN J\u030cOE", "yes"),
        ("Gru\u0308ße an \u01f0oe", "Yes"),
        ("Grüße an\u2003\u01f0oe", " yes "),
    ],
)
async def test_what_differs_in_case_or_spacing_alone_is_valid_with_a_warning(
    api: Api, worker: Worker, question: str, answer: str
) -> None:
    rows = (("Grüße an \u01f0oe", "yes"), (question, answer))
    assert await shown_after_import(api, worker, *rows) == [VALID, NEAR_DUPLICATE]


@pytest.mark.parametrize(
    ("question", "answer"), [("cafe", "yes"), (COMPOSED, "no"), (f"{COMPOSED}!", "yes"), ("ca fé", "yes")]
)
async def test_other_characters_are_neither_a_duplicate_nor_a_near_duplicate(
    api: Api, worker: Worker, question: str, answer: str
) -> None:
    found = await shown_after_import(api, worker, (COMPOSED, "yes"), (question, answer))
    assert [is_valid for is_valid, _ in found] == [True, True]
    assert not {"DUPLICATE", "NEAR_DUPLICATE"} & {code for _, codes in found for code in codes}


async def test_a_warning_says_that_it_is_one(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(
        api, worker, table(("One?", "1"), (" one?", "1"), ("One?", "2"), ("", "3"))
    )
    found = await items(api, dataset_id, "problems { code message isWarning }")
    assert [item["problems"] for item in found] == [
        [contradiction := {
            "code": "CONTRADICTION", "message": "Another item has the same input and another output.",
            "isWarning": True,
        }],
        [{"code": "NEAR_DUPLICATE", "message": "An earlier item differs in case and spacing alone.", "isWarning": True}],
        [contradiction],
        [{"code": "FIELD_MISSING", "message": "Line 5: The field 'question' is empty.", "isWarning": False}],
    ]  # fmt: skip


async def test_items_contradict_each_other_once_the_second_output_is_imported(
    api: Api, worker: Worker
) -> None:
    dataset_id = await imported_dataset(api, worker, table((COMPOSED, "yes"), ("Other?", "no")))
    assert await shown(api, dataset_id) == [VALID, VALID]
    await import_file(api, worker, dataset_id, table((f"{DECOMPOSED} ", "no")))
    assert await shown(api, dataset_id) == [CONTRADICTION, VALID, CONTRADICTION]


async def test_a_contradiction_ends_with_a_deletion_and_returns_with_the_item(
    api: Api, worker: Worker
) -> None:
    dataset_id = await imported_dataset(api, worker, table(("One?", "1"), ("One?", "2")))
    second = (await items(api, dataset_id))[1]["id"]
    await api.mutate("deleteItems", "count", itemIds=[second])
    assert await shown(api, dataset_id) == [VALID]
    assert (await items(api, dataset_id, ITEM, deleted=True))[0]["problems"] == []
    await api.mutate("restoreItems", "count", itemIds=[second])
    assert await shown(api, dataset_id) == [CONTRADICTION, CONTRADICTION]


async def test_a_contradiction_ends_with_a_correction(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, table(("One?", "1"), ("One?", "2"), ("One?", "3")))
    assert await shown(api, dataset_id) == [CONTRADICTION] * 3
    second, third = (item["id"] for item in (await items(api, dataset_id))[1:])
    await api.mutate("correctItem", "item { id }", itemId=second, values=["Two?", "2"])
    assert await shown(api, dataset_id) == [CONTRADICTION, VALID, CONTRADICTION]
    await api.mutate("correctItem", "item { id }", itemId=third, values=["One?", "1 "])
    assert await shown(api, dataset_id) == [VALID, VALID, DUPLICATE]


async def test_an_item_may_nearly_repeat_one_item_and_contradict_another(api: Api, worker: Worker) -> None:
    rows = (("One?", "yes"), ("One?", "no"), ("One?", "YES"))
    dataset_id = await imported_dataset(api, worker, table(*rows))
    both = (True, ["NEAR_DUPLICATE", "CONTRADICTION"])
    assert await shown(api, dataset_id) == [CONTRADICTION, CONTRADICTION, both]
    first, second, _ = (item["id"] for item in await items(api, dataset_id))
    await api.mutate("deleteItems", "count", itemIds=[first])
    assert await shown(api, dataset_id) == [CONTRADICTION, CONTRADICTION]
    await api.mutate("restoreItems", "count", itemIds=[first])
    await api.mutate("deleteItems", "count", itemIds=[second])
    assert await shown(api, dataset_id) == [VALID, NEAR_DUPLICATE]


async def test_invalid_items_are_compared_with_none(api: Api, worker: Worker) -> None:
    rows = (("One?", ""), ("One?", "1"), ("One?", "1"), (" one?", "1"), ("One?", ""))
    missing = (False, ["FIELD_MISSING"])
    assert await shown_after_import(api, worker, *rows) == [
        missing,
        VALID,
        DUPLICATE,
        NEAR_DUPLICATE,
        missing,
    ]


async def test_a_duplicate_takes_part_once_it_is_valid(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, table(("A", "1"), ("A", "1"), ("a", "1"), ("A", "2")))
    assert await shown(api, dataset_id) == [CONTRADICTION, DUPLICATE, NEAR_DUPLICATE, CONTRADICTION]
    await api.mutate("deleteItems", "count", itemIds=[(await items(api, dataset_id))[0]["id"]])
    assert await shown(api, dataset_id) == [CONTRADICTION, NEAR_DUPLICATE, CONTRADICTION]


async def test_problems_are_counted_and_filtered_by_code(api: Api, worker: Worker) -> None:
    rows = (("A", "1"), ("A", "1"), ("a", "1"), ("A", "2"), ("B", ""))
    dataset_id = await imported_dataset(api, worker, table(*rows))
    found = await fetch_dataset(api, dataset_id, "stats { total valid invalid problems { code count } }")
    assert found["stats"] == {
        "total": 5, "valid": 3, "invalid": 2,
        "problems": [
            {"code": "FIELD_MISSING", "count": 1}, {"code": "DUPLICATE", "count": 1},
            {"code": "NEAR_DUPLICATE", "count": 1}, {"code": "CONTRADICTION", "count": 2},
        ],
    }  # fmt: skip
    filtered = {
        code: await item_values(api, dataset_id, problem=code)
        for code in ("FIELD_MISSING", "DUPLICATE", "NEAR_DUPLICATE", "CONTRADICTION", "NOT_TEXT")
    }
    assert filtered == {
        "FIELD_MISSING": [["B", ""]], "DUPLICATE": [["A", "1"]], "NEAR_DUPLICATE": [["a", "1"]],
        "CONTRADICTION": [["A", "1"], ["A", "2"]], "NOT_TEXT": [],
    }  # fmt: skip
    assert await item_values(api, dataset_id, problem="NEAR_DUPLICATE", isValid=False) == []


NOT_TEXT = Problem(ProblemCode.NOT_TEXT, "Line 2: the field 'answer' is a list.", is_warning=True)


async def dataset_of(
    api: Api, services: Services, *rows: tuple[str, str, tuple[Problem, ...]]
) -> dict[str, Any]:
    """A dataset that is DONE, of rows with problems of their own; its id, and its project's."""
    dataset_id = await new_qa_dataset(api)
    async with services.transactions.begin() as store:
        dataset = await require(store.datasets, dataset_id, viewer_id=api.user_id)

        async def made() -> AsyncIterator[Item]:
            for position, (question, answer, problems) in enumerate(rows):
                yield new_item(
                    dataset,
                    {"question": question, "answer": answer},
                    key=str(position),
                    position=position,
                    origin=ItemOrigin.UPLOADED,
                    now=services.now(),
                    problems=problems,
                )

        await store.items.add_many(made())
        await store.items.recompute(dataset)
        await store.datasets.change(dataset_id, {"status": RunStatus.DONE})
    return {"id": dataset_id, "project_id": dataset.project_id}


async def test_a_warning_of_a_row_leaves_its_item_valid_and_hides_no_error(
    api: Api, services: Services
) -> None:
    dataset = await dataset_of(
        api, services, ("One?", "[1]", (NOT_TEXT,)), ("", "[1]", (NOT_TEXT,)), ("One?", "[1]", (NOT_TEXT,))
    )
    assert await shown(api, dataset["id"]) == [
        (True, ["NOT_TEXT"]),
        (False, ["NOT_TEXT", "FIELD_MISSING"]),
        (False, ["NOT_TEXT", "DUPLICATE"]),
    ]
    found = await fetch_dataset(api, dataset["id"], "stats { valid invalid problems { code count } }")
    assert found["stats"] == {
        "valid": 1, "invalid": 2, "problems": [
            {"code": "FIELD_MISSING", "count": 1}, {"code": "DUPLICATE", "count": 1}, {"code": "NOT_TEXT", "count": 3},
        ],
    }  # fmt: skip
    assert len(await item_values(api, dataset["id"], problem="NOT_TEXT")) == 3
    assert await item_values(api, dataset["id"], problem="NOT_TEXT", isValid=True) == [["One?", "[1]"]]


async def test_an_object_or_a_list_in_a_table_is_valid_with_a_warning(api: Api, worker: Worker) -> None:
    lines = [
        '{"question": "One?", "answer": [1]}',
        '{"question": {"a": 1}, "answer": ""}',
        '{"question": 1, "answer": 2}',
    ]
    dataset_id = await new_qa_dataset(api)
    await import_file(api, worker, dataset_id, "\n".join(lines), "table.jsonl")
    assert await shown(api, dataset_id) == [
        (True, ["NOT_TEXT"]), (False, ["NOT_TEXT", "FIELD_MISSING"]), VALID,
    ]  # fmt: skip


async def test_items_with_warnings_are_trained_on(api: Api, services: Services) -> None:
    dataset = await dataset_of(
        api, services, ("A", "[1]", (NOT_TEXT,)), ("a", "[1]", ()), ("A", "2", ()), ("A", "2", ())
    )
    finetune = (await create_finetune(api, dataset["project_id"], dataset["id"]))["finetune"]
    document = "query($id: ID!) { finetune(id: $id) { trainedItems(first: 10) { nodes { values problems { code } } } } }"
    trained = (await api.gql(document, id=finetune["id"]))["finetune"]["trainedItems"]["nodes"]
    assert [item["values"] for item in trained] == [["A", "[1]"], ["a", "[1]"], ["A", "2"]]
    assert [[problem["code"] for problem in item["problems"]] for item in trained] == [
        ["NOT_TEXT", "CONTRADICTION"], ["NEAR_DUPLICATE"], ["CONTRADICTION"],
    ]  # fmt: skip
    assert finetune["trainedItemCount"] == 3
