"""Tables as people bring them: what is read is said, what is in doubt is asked, and what we write is read back."""

from typing import Any

import pytest

from tests.clients import Api
from tests.conftest import Worker
from tests.importing import (
    drain_queue,
    fetch_dataset,
    import_file,
    import_result,
    imported_dataset,
    item_values,
    items,
    new_qa_dataset,
    upload,
)
from tests.jobs import new_project

pytestmark = pytest.mark.anyio

ITALIAN = "question,answer\r\nC'è tempo?,Il caffè è pronto.\r\nPerché no?,Più tardi.\r\n"
ITEMS = [["C'è tempo?", "Il caffè è pronto."], ["Perché no?", "Più tardi."]]
ENCODING = "encoding encodingDoubtful encodingReadings { encoding line }"


async def read_document(
    api: Api, worker: Worker, content: str | bytes, fields: str, **given: Any
) -> dict[str, Any]:
    """A document after it was read."""
    document_id = await upload(api, await new_project(api), content, **given)
    await drain_queue(worker)
    found = await api.gql(f"query($id: ID!) {{ document(id: $id) {{ {fields} }} }}", id=document_id)
    return dict(found["document"])


async def imported(api: Api, worker: Worker, content: str | bytes, **values: Any) -> dict[str, Any]:
    """The dataset of questions and answers after a file was imported, with its job."""
    return await import_file(api, worker, await new_qa_dataset(api), content, **values)


async def test_a_document_says_what_it_was_read_as(api: Api, worker: Worker) -> None:
    fields = f"{ENCODING} status preview {{ headers }}"
    assert await read_document(api, worker, "question,answer\né,b\n", fields) == {
        "encoding": "utf-8", "encodingDoubtful": False, "encodingReadings": [],
        "status": "READY", "preview": {"headers": ["question", "answer"]},
    }  # fmt: skip
    russian = "вопрос,ответ\nГде вокзал?,Третья дверь направо.\n".encode("cp1251")
    found = await read_document(api, worker, russian, fields)
    assert (found["encoding"], found["preview"]["headers"]) == ("cp1251", ["вопрос", "ответ"])


async def test_a_document_that_was_not_read_has_no_encoding(api: Api) -> None:
    document_id = await upload(api, await new_project(api), "a,b\n1,2\n")
    found = await api.gql(f"query($id: ID!) {{ document(id: $id) {{ {ENCODING} }} }}", id=document_id)
    assert found["document"] == {"encoding": None, "encodingDoubtful": None, "encodingReadings": []}


async def test_the_charset_of_an_upload_decides(api: Api, worker: Worker) -> None:
    given = {"media_type": "text/csv; charset=windows-1250"}
    found = await read_document(
        api, worker, ITALIAN.encode("cp1252"), f"{ENCODING} preview {{ rows }}", **given
    )
    assert (found["encoding"], found["encodingDoubtful"]) == ("cp1250", False)
    assert found["preview"]["rows"][0] == ["C'č tempo?", "Il caffč č pronto."]


async def test_a_charset_that_is_none_is_refused_before_the_upload(api: Api) -> None:
    input = {
        "projectId": await new_project(api), "fileName": "a.csv", "fileType": "text/csv; charset=klingon",
        "kind": "DATASET_UPLOAD",
    }  # fmt: skip
    error = await api.refused("initiateUpload", **input)
    assert (error["reason"], error["field"]) == ("UNKNOWN_ENCODING", ["fileType"])


async def test_a_charset_that_is_not_that_of_the_bytes_fails_with_their_position(
    api: Api, worker: Worker
) -> None:
    given = {"media_type": "text/csv; charset=utf-8"}
    found = await read_document(api, worker, ITALIAN.encode("cp1252"), "status error", **given)
    assert found["status"] == "FAILED"
    assert "not valid utf-8: the byte at position 19" in found["error"]


async def test_a_doubtful_encoding_is_asked_for_and_the_answer_decides(api: Api, worker: Worker) -> None:
    dataset_id = await new_qa_dataset(api)
    project = (await fetch_dataset(api, dataset_id, "project { id }"))["project"]["id"]
    document_id = await upload(api, project, ITALIAN.encode("cp1252"))
    await drain_queue(worker)
    input = {"datasetId": dataset_id, "documentId": document_id}
    error = await api.refused("importDataset", **input)
    document = await api.gql(f"query($id: ID!) {{ document(id: $id) {{ {ENCODING} }} }}", id=document_id)
    readings = document["document"]["encodingReadings"]
    assert (error["code"], error["reason"], error["field"]) == ("INVALID", "ENCODING_DOUBTFUL", ["encoding"])
    assert error["context"] == {"readings": readings}
    assert {"encoding": "cp1252", "line": "Perché no?,Più tardi."} in readings
    assert document["document"]["encodingDoubtful"] is True
    await api.mutate("importDataset", "job { id }", **input, encoding="windows-1252")
    await drain_queue(worker)
    assert await item_values(api, dataset_id) == ITEMS


async def test_an_import_that_waits_for_its_document_fails_where_the_encoding_is_in_doubt(
    api: Api, worker: Worker
) -> None:
    found = await imported(api, worker, ITALIAN.encode("cp1252"))
    assert found["job"]["status"] == "FAILED"
    assert found["job"]["error"].startswith("The encoding of the file is in doubt; name the one that")
    assert "cp1250 reads it as: Perché no?,Piů tardi." in found["job"]["error"]


async def test_the_language_of_the_dataset_settles_a_doubt(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, ITALIAN.encode("cp1252"), languageIso="ita")
    assert await item_values(api, dataset_id) == ITEMS


async def test_a_guess_that_the_language_of_the_dataset_contradicts_is_a_doubt(
    api: Api, worker: Worker
) -> None:
    russian = "question,answer\nГде вокзал?,Третья дверь направо.\nСколько стоит?,Пять рублей.\n".encode(
        "cp1251"
    )
    found = await imported(api, worker, russian)
    assert found["status"] == "DONE", found
    dataset_id = await new_qa_dataset(api, languageIso="tur")
    found = await import_file(api, worker, dataset_id, russian)
    assert found["job"]["status"] == "FAILED"
    assert "cp1251 reads it as: Где вокзал?" in found["job"]["error"]


async def test_an_encoding_that_is_none_is_refused(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker)
    dataset = await fetch_dataset(api, dataset_id, "documents { nodes { id } }")
    input = {"datasetId": dataset_id, "documentId": dataset["documents"]["nodes"][0]["id"]}
    error = await api.refused("importDataset", **input, encoding="rot13")
    assert (error["reason"], error["field"]) == ("UNKNOWN_ENCODING", ["encoding"])
    error = await api.refused("importDataset", **input, columns=["question"])
    assert (error["reason"], error["field"]) == ("INVALID_COLUMNS", ["columns"])


async def test_the_same_document_in_another_encoding_is_other_items(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, ITALIAN.encode("cp1252"), languageIso="ces")
    dataset = await fetch_dataset(api, dataset_id, "documents { nodes { id } }")
    input = {"datasetId": dataset_id, "documentId": dataset["documents"]["nodes"][0]["id"]}
    await api.mutate("importDataset", "job { id }", **input, encoding="cp1252")
    await drain_queue(worker)
    assert (await item_values(api, dataset_id))[2:] == ITEMS


async def test_a_second_file_with_other_headers_joins_a_dataset(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, "question,answer\na,b\n")
    columns = {"question": "Frage", "answer": "y" * 150}
    content = f",Frage,{'y' * 150},y,y\n0,c,d,e,f\n"
    done = await import_file(api, worker, dataset_id, content, columns=columns)
    assert done["job"]["result"]["valid"] == 1
    assert await item_values(api, dataset_id) == [["a", "b"], ["c", "d"]]


async def test_columns_that_the_file_lacks_are_refused_at_once(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker)
    dataset = await fetch_dataset(api, dataset_id, "documents { nodes { id } }")
    input = {"datasetId": dataset_id, "documentId": dataset["documents"]["nodes"][0]["id"]}
    error = await api.refused("importDataset", **input, columns={"question": "Frage"})
    assert (error["reason"], error["field"]) == ("MISSING_COLUMNS", ["columns"])
    assert error["context"] == {"missing": ["Frage"], "header": ["question", "answer"]}


async def test_objects_on_one_line_are_different_items(api: Api, worker: Worker) -> None:
    content = '[{"question": "1", "answer": "a"}, {"question": "2", "answer": "b"}, {"question": "3", "answer": "c"}]'
    done = await imported(api, worker, content, name="rows.json")
    assert done["job"]["result"]["valid"] == 3
    assert await item_values(api, done["id"]) == [["1", "a"], ["2", "b"], ["3", "c"]]


async def test_a_document_is_read_again_in_the_same_way_without_a_new_item(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, "question,answer,other\na,b,c\n")
    dataset = await fetch_dataset(api, dataset_id, "documents { nodes { id } }")
    input = {"datasetId": dataset_id, "documentId": dataset["documents"]["nodes"][0]["id"]}
    for options in ({"format": "CSV"}, {"encoding": "utf8"}, {"columns": {"question": "question"}}):
        await api.mutate("importDataset", "job { id }", **input, **options)
        await drain_queue(worker)
    assert await item_values(api, dataset_id) == [["a", "b"]]
    await api.mutate("importDataset", "job { id }", **input, columns={"answer": "other"})
    await drain_queue(worker)
    assert await item_values(api, dataset_id) == [["a", "b"], ["a", "c"]]


async def test_a_charset_is_of_tables_alone(api: Api) -> None:
    input = {
        "projectId": await new_project(api), "fileName": "a.pdf", "fileType": "application/pdf; charset=binary",
        "kind": "RAW_DOC",
    }  # fmt: skip
    payload = await api.mutate("initiateUpload", "document { encoding }", **input)
    assert payload["document"]["encoding"] is None


async def test_a_missing_quote_costs_one_row(api: Api, worker: Worker) -> None:
    content = 'question,answer\nq0,"open and never closed\nr0,b0\nr1,b1\nlast,he said "hi"\n'
    done = await imported(api, worker, content)
    assert done["job"]["result"] == import_result(4, valid=3)
    [item] = await items(api, done["id"], "values problems { code message }", isValid=False)
    assert item["values"] == ["q0", '"open and never closed']
    assert item["problems"][0]["code"] == "JSON_INVALID"
    assert "a value on line 2 is followed by one on line 5" in item["problems"][0]["message"]


FORMULAS = (
    'question,answer\nlist,"- first point\n- second point"\ntemp,-5 °C\nphone,+49 30 1234567\nuser,@lotte\n'
    "none,-\nnumber,-3.5\nguard,'=1\ninner,a;=1\n"
)


async def test_our_own_csv_is_imported_as_the_same_items(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, FORMULAS)
    fields = "contentHash downloadUrl job { result }"
    dataset = await fetch_dataset(api, dataset_id, fields)
    assert dataset["job"]["result"]["unguarded"] == 0
    csv = (await api.rest.get(dataset["downloadUrl"])).content
    assert "user,'@lotte" in csv.decode()
    again = await fetch_dataset(api, await imported_dataset(api, worker, csv), fields)
    assert again["contentHash"] == dataset["contentHash"]
    assert again["job"]["result"]["unguarded"] == 7


async def test_a_raw_csv_has_formulas_as_they_are(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, FORMULAS)
    dataset = await fetch_dataset(api, dataset_id, "contentHash downloadUrl")
    raw = await api.rest.get(dataset["downloadUrl"], params={"raw": "1"})
    assert "user,@lotte\r\n" in raw.text
    again = await fetch_dataset(api, await imported_dataset(api, worker, raw.content), "contentHash")
    assert again["contentHash"] == dataset["contentHash"]
    refused = await api.rest.get(dataset["downloadUrl"], params={"raw": "maybe"})
    assert (refused.status_code, refused.json()["error_code"]) == (400, "INVALID_PARAMETER")


async def test_apostrophes_stay_in_a_file_with_formulas(api: Api, worker: Worker) -> None:
    done = await imported(api, worker, "question,answer\na,'=1\nb,=2\n")
    assert done["job"]["result"]["unguarded"] == 0
    assert await item_values(api, done["id"]) == [["a", "'=1"], ["b", "=2"]]
