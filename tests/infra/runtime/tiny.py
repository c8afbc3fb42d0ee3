"""A language model of a few kilobytes with random weights, which llama.cpp can load."""

from pathlib import Path

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, CONTEXT = 32, 2, 2, 512
PLAIN_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TOOLS = "{% if tools %}<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>{% endif %}"
TOOL_CALLS = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}"
    "{% for call in message.tool_calls or [] %}<tool_call>"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}'
    "</tool_call>{% endfor %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TOOL_TEMPLATE = TOOLS + TOOL_CALLS
"""A chat template with tools and tool calls; `TOOLS` and `TOOL_CALLS` are its parts."""
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


def write_model(
    path: Path, *, context: int = CONTEXT, layers: int = LAYERS, seed: int = 0, template: str | None = None
) -> Path:
    """Write a Llama whose vocabulary is the 256 bytes and three special tokens."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(WIDTH * 2)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    _add_vocabulary(writer)
    if template is not None:
        writer.add_chat_template(template)
    _add_weights(writer, np.random.default_rng(seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256])
    writer.add_add_space_prefix(False)  # with one, llama.cpp fails at grammars
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _add_weights(writer: gguf.GGUFWriter, random: np.random.Generator) -> None:
    def add(name: str, *shape: int) -> None:
        weights = np.ones(shape) if name.endswith("norm.weight") else random.normal(0, 0.3, shape)
        writer.add_tensor(name, weights.astype(np.float32))

    add("token_embd.weight", 259, WIDTH)
    add("output_norm.weight", WIDTH)
    add("output.weight", 259, WIDTH)
    for layer in range(LAYERS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{part}.weight", WIDTH, WIDTH)
        add(f"blk.{layer}.attn_norm.weight", WIDTH)
        add(f"blk.{layer}.ffn_norm.weight", WIDTH)
        add(f"blk.{layer}.ffn_gate.weight", WIDTH * 2, WIDTH)
        add(f"blk.{layer}.ffn_up.weight", WIDTH * 2, WIDTH)
        add(f"blk.{layer}.ffn_down.weight", WIDTH, WIDTH * 2)
