"""Items over GraphQL: read, filtered, corrected, deleted and restored."""

from typing import Any

import pytest

from tests.clients import Api
from tests.conftest import Worker
from tests.importing import (
    CAPITALS,
    csv_table,
    fetch_dataset,
    import_file,
    imported_dataset,
    item_values,
    items,
    new_qa_dataset,
)

pytestmark = pytest.mark.anyio

STATS = (
    "stats { total valid invalid active deleted corrected bySplit { split count } problems { code count } }"
)
ITEM = """id values data deleted split isValid problems { code message } tokenCount origin
  source { document { filename } sourceDocument start end } generateModel generationTimeSeconds
  dataset { id } corrects { id } correctedBy { id }"""


async def stats(api: Api, dataset_id: str) -> dict[str, Any]:
    return dict((await fetch_dataset(api, dataset_id, STATS))["stats"])


async def correct(api: Api, item_id: str, *texts: str) -> dict[str, Any]:
    return dict((await api.mutate("correctItem", f"item {{ {ITEM} }}", itemId=item_id, values=texts))["item"])


async def test_an_item_shows_its_source(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker)
    first = (await items(api, dataset_id, ITEM))[0]
    assert first | {"id": ""} == {
        "id": "", "values": ["Capital of France?", "Paris"],
        "data": {"question": "Capital of France?", "answer": "Paris"}, "deleted": False, "split": "TRAIN",
        "isValid": True, "problems": [], "tokenCount": 6, "origin": "UPLOADED",
        "source": {"document": {"filename": "table.csv"}, "sourceDocument": "table.csv", "start": None, "end": None},
        "generateModel": None, "generationTimeSeconds": None,
        "dataset": {"id": dataset_id}, "corrects": None, "correctedBy": None,
    }  # fmt: skip


async def test_a_correction_replaces_the_old_item(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker)
    old = (await items(api, dataset_id))[1]
    new = await correct(api, old["id"], "Capital of Peru?", "Lima, of course")
    assert (new["origin"], new["corrects"], new["source"]["sourceDocument"]) == (
        "CORRECTED", {"id": old["id"]}, "table.csv",
    )  # fmt: skip
    assert await item_values(api, dataset_id, active=True) == [
        ["Capital of France?", "Paris"], ["Capital of Peru?", "Lima, of course"], ["Capital of Ghana?", "Accra"],
    ]  # fmt: skip
    inactive = await items(api, dataset_id, "id values correctedBy { id }", active=False)
    assert inactive == [{**old, "correctedBy": {"id": new["id"]}}]
    assert await stats(api, dataset_id) == {
        "total": 3, "valid": 3, "invalid": 0, "active": 3, "deleted": 0, "corrected": 1,
        "bySplit": [{"split": "TRAIN", "count": 3}], "problems": [],
    }  # fmt: skip


async def test_only_the_newest_version_of_an_item_can_be_corrected(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker)
    old = (await items(api, dataset_id))[0]
    new = await correct(api, old["id"], "q", "a")
    error = await api.refused("correctItem", itemId=old["id"], values=["q", "b"])
    assert (error["code"], error["reason"]) == ("CONFLICT", "ITEM_NOT_ACTIVE")
    await correct(api, new["id"], "q", "c")
    assert (await item_values(api, dataset_id, active=True))[0] == ["q", "c"]


async def test_a_correction_has_a_value_for_each_field(api: Api, worker: Worker) -> None:
    item = (await items(api, await imported_dataset(api, worker)))[0]
    for texts in ([], ["q"], ["q", "a", "b"]):
        error = await api.refused("correctItem", itemId=item["id"], values=texts)
        assert (error["reason"], error["field"]) == ("WRONG_NUMBER_OF_VALUES", ["values"])


async def test_a_correction_is_validated(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, "question,answer\nOne?,\nTwo?,2\n")
    broken, whole = await items(api, dataset_id, "id problems { code message }")
    assert broken["problems"] == [
        {"code": "FIELD_MISSING", "message": "Line 2: The field 'answer' is empty."}
    ]
    assert (await correct(api, broken["id"], "One?", "1"))["isValid"] is True
    assert (await correct(api, whole["id"], "Two?", " "))["problems"] == [
        {"code": "FIELD_MISSING", "message": "The field 'answer' is empty."}
    ]


async def test_of_equal_items_the_first_is_valid(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, "question,answer\nOne?,1\nOne? ,1\nTwo?,1\n")
    assert [item["isValid"] for item in await items(api, dataset_id, "isValid")] == [True, False, True]
    assert await items(api, dataset_id, "values problems { code message }", problem="DUPLICATE") == [
        {
            "values": ["One? ", "1"],
            "problems": [{"code": "DUPLICATE", "message": "An earlier item has the same input and output."}],
        }
    ]


async def test_a_duplicate_is_valid_once_the_first_is_deleted(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, "question,answer\nOne?,1\nOne?,1\nOne?,1\n")
    first = (await items(api, dataset_id))[0]["id"]
    await api.mutate("deleteItems", "count", itemIds=[first])
    assert [item["isValid"] for item in await items(api, dataset_id, "isValid", active=True)] == [True, False]
    await api.mutate("restoreItems", "count", itemIds=[first])
    assert [item["isValid"] for item in await items(api, dataset_id, "isValid")] == [True, False, False]
    await correct(api, first, "One?", "uno")
    assert [item["isValid"] for item in await items(api, dataset_id, "isValid", active=True)] == [
        True, True, False,
    ]  # fmt: skip


async def test_deleting_and_restoring_counts_what_changed(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker)
    ids = [item["id"] for item in await items(api, dataset_id)][:2]
    deleted = await api.mutate("deleteItems", f"count dataset {{ {STATS} dataItemsSample }}", itemIds=ids)
    assert deleted["count"] == 2
    assert deleted["dataset"]["dataItemsSample"] == [["Capital of Ghana?", "Accra"]]
    assert deleted["dataset"]["stats"] | {"bySplit": 0, "problems": 0} == {
        "total": 1, "valid": 1, "invalid": 0, "active": 1, "deleted": 2, "corrected": 0, "bySplit": 0, "problems": 0,
    }  # fmt: skip
    assert (await api.mutate("deleteItems", "count", itemIds=ids))["count"] == 0
    restored = await api.mutate("restoreItems", "count", datasetId=dataset_id, filter={"search": "peru"})
    assert restored["count"] == 1
    assert len(await item_values(api, dataset_id, deleted=False)) == 2


async def test_a_corrected_item_is_neither_deleted_nor_restored(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker)
    old = (await items(api, dataset_id))[0]["id"]
    new = (await correct(api, old, "q", "a"))["id"]
    assert (await api.mutate("deleteItems", "count", itemIds=[old]))["count"] == 0
    assert (await api.mutate("deleteItems", "count", itemIds=[new]))["count"] == 1
    assert len(await item_values(api, dataset_id, active=True)) == 2
    assert (await api.mutate("restoreItems", "count", itemIds=[old, new]))["count"] == 1
    assert len(await item_values(api, dataset_id, active=True)) == 3
    error = await api.refused("correctItem", itemId=old, values=["q", "b"])
    assert error["reason"] == "ITEM_NOT_ACTIVE"


async def test_a_deleted_item_cannot_be_corrected(api: Api, worker: Worker) -> None:
    item = (await items(api, await imported_dataset(api, worker)))[0]["id"]
    await api.mutate("deleteItems", "count", itemIds=[item])
    assert (await api.refused("correctItem", itemId=item, values=["q", "a"]))["reason"] == "ITEM_NOT_ACTIVE"


async def test_items_to_delete_are_named_in_exactly_one_way(api: Api) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({}, "AMBIGUOUS"),
        ({"itemIds": ["item_x"], "datasetId": "ds_x"}, "AMBIGUOUS"),
        ({"datasetId": "ds_x"}, "REQUIRED"),
        ({"itemIds": []}, "OUT_OF_RANGE"),
        ({"itemIds": ["item_x"]}, "ITEM_NOT_FOUND"),
        ({"datasetId": "ds_x", "filter": {"search": "\x00"}}, "INVALID_TEXT"),
    ]
    for name in ("deleteItems", "restoreItems"):
        for given, reason in refused:
            assert (await api.refused(name, **given))["reason"] == reason


async def test_items_of_two_datasets_are_not_deleted_together(api: Api, worker: Worker) -> None:
    ids = [(await items(api, await imported_dataset(api, worker)))[0]["id"] for _ in range(2)]
    assert (await api.refused("deleteItems", itemIds=ids))["reason"] == "SEVERAL_DATASETS"


async def test_another_users_items_are_not_found(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker)
    item = (await items(api, dataset_id))[0]["id"]
    assert (await api.other.gql("query($id: ID!) { node(id: $id) { id } }", id=item))["node"] is None
    for name, given in (
        ("correctItem", {"itemId": item, "values": ["q", "a"]}),
        ("deleteItems", {"itemIds": [item]}),
        ("restoreItems", {"itemIds": [item]}),
    ):
        assert (await api.other.refused(name, **given))["reason"] == "ITEM_NOT_FOUND"
    assert len(await item_values(api, dataset_id, active=True)) == 3


async def test_a_search_matches_literal_text_in_any_value(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker)
    found = {"PERU": 1, "lima": 1, "capital": 3, "%": 0, "_": 0, "?,": 0, "": 3, "/": 0}
    assert {search: len(await item_values(api, dataset_id, search=search)) for search in found} == found


async def test_filters_are_combined_with_and(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, "question,answer\nOne?,\nTwo?,2\nThree?,\n")
    assert len(await item_values(api, dataset_id, isValid=False)) == 2
    assert await item_values(api, dataset_id, isValid=False, search="three") == [["Three?", ""]]
    assert await item_values(api, dataset_id, problem="FIELD_MISSING", isValid=True) == []
    assert len(await item_values(api, dataset_id, split="TRAIN")) == 3
    assert await stats(api, dataset_id) == {
        "total": 3, "valid": 1, "invalid": 2, "active": 3, "deleted": 0, "corrected": 0,
        "bySplit": [{"split": "TRAIN", "count": 1}], "problems": [{"code": "FIELD_MISSING", "count": 2}],
    }  # fmt: skip


async def test_items_are_paged_in_their_order(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, csv_table(25))
    document = """query($id: ID!, $after: String) { dataset(id: $id) { items(first: 10, after: $after) {
      totalCount nodes { values } pageInfo { endCursor hasNextPage } } } }"""
    seen: list[str] = []
    page: dict[str, Any] = {"pageInfo": {"endCursor": None, "hasNextPage": True}}
    while page["pageInfo"]["hasNextPage"]:
        variables = {"id": dataset_id, "after": page["pageInfo"]["endCursor"]}
        page = (await api.gql(document, **variables))["dataset"]["items"]
        assert page["totalCount"] == 25
        seen += [node["values"][1] for node in page["nodes"]]
    assert seen == [f"Answer {number}" for number in range(25)]


async def test_items_are_held_out_from_fifty_valid_ones_on(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, csv_table(49))
    assert (await stats(api, dataset_id))["bySplit"] == [{"split": "TRAIN", "count": 49}]
    await import_file(api, worker, dataset_id, csv_table(1, first=49))
    fifty = await sides(api, dataset_id)
    assert 0 < len([side for side in fifty.values() if side == "EVAL"]) < 15
    await import_file(api, worker, dataset_id, csv_table(40, first=50))
    assert fifty.items() <= (await sides(api, dataset_id)).items()
    for digit in "1234":
        where = {"search": f"Question {digit}"}
        await api.mutate("deleteItems", "count", datasetId=dataset_id, filter=where)
    assert (await stats(api, dataset_id))["bySplit"] == [{"split": "TRAIN", "count": 46}]
    await api.mutate("restoreItems", "count", datasetId=dataset_id, filter={})
    assert fifty.items() <= (await sides(api, dataset_id)).items()


async def sides(api: Api, dataset_id: str) -> dict[str, str]:
    return {item["values"][0]: item["split"] for item in await items(api, dataset_id, "values split")}


async def test_a_sample_is_of_the_first_active_items_in_field_order(api: Api, worker: Worker) -> None:
    dataset_id = await new_qa_dataset(api, fieldNames=["answer", "question"])
    assert (await fetch_dataset(api, dataset_id, "dataItemsSample"))["dataItemsSample"] == []
    await import_file(api, worker, dataset_id, csv_table(12))
    ids = [item["id"] for item in await items(api, dataset_id)]
    await api.mutate("deleteItems", "count", itemIds=ids[:1])
    await correct(api, ids[1], "one", "Question one?")
    sample = await fetch_dataset(api, dataset_id, "ten: dataItemsSample two: dataItemsSample(first: 2)")
    assert sample["two"] == [["one", "Question one?"], ["Answer 2", "Question 2?"]]
    assert sample["ten"] == [*sample["two"], *([f"Answer {n}", f"Question {n}?"] for n in range(3, 11))]


async def test_the_sample_is_empty_until_the_dataset_is_done(api: Api, worker: Worker) -> None:
    dataset_id = await new_qa_dataset(api)
    failed = await import_file(api, worker, dataset_id, "a,b\n1,2\n")
    assert failed["status"] == "FAILED"
    assert (await fetch_dataset(api, dataset_id, "dataItemsSample"))["dataItemsSample"] == []
    assert (await import_file(api, worker, dataset_id, CAPITALS))["status"] == "DONE"
    assert len((await fetch_dataset(api, dataset_id, "dataItemsSample"))["dataItemsSample"]) == 3
