"""Repositories for the tests' hub: small ones whose descriptions are those of real models."""

from typing import Any

from tests.fakes.hub import Access, FakeHub, Repository

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 32_000,
    "max_position_embeddings": 4096,
    "dtype": "bfloat16",
}
PARAMETERS = 7_000_000


def add_model(
    hub: FakeHub,
    model_id: str = "acme/small",
    *,
    access: Access = Access.PUBLIC,
    config: dict[str, Any] | None = None,
    files: dict[str, Any] | None = None,
    **info: Any,
) -> Repository:
    """A Llama of 7 million parameters, with changes to its configuration; a file that is None is left out."""
    given: dict[str, Any] = {
        "config.json": LLAMA | (config or {}),
        "tokenizer_config.json": {},
        "tokenizer.json": {},
        "model.safetensors": b"weights",
        **(files or {}),
    }
    card = {
        "cardData": {"license": "mit"},
        "safetensors": {"parameters": {"BF16": PARAMETERS}, "total": PARAMETERS},
    }
    contents = {name: content for name, content in given.items() if content is not None}
    return hub.add(model_id, contents, access=access, **(card | info))
