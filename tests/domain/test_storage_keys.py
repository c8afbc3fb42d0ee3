from domain import storage_keys


def test_objects_are_stored_where_the_contract_says() -> None:
    assert storage_keys.document_key("doc_1", "a b.csv") == "documents/doc_1/a_b.csv"
    assert storage_keys.dataset_prefix("user_1", "ds_1") == "datasets/user_1/ds_1/"
    filename = storage_keys.gguf_filename("llama/3.2_v1")
    assert storage_keys.artifact_key("finetune_1", filename) == "finetunes/finetune_1/llama_3.2_v1.gguf"


def test_a_key_is_under_its_prefix() -> None:
    assert storage_keys.document_key("doc_1", "a.csv").startswith(storage_keys.document_prefix("doc_1"))
    assert storage_keys.artifact_key("finetune_1", "a").startswith(storage_keys.finetune_prefix("finetune_1"))
