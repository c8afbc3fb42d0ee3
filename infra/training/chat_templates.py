"""Chat templates for base models that have none."""

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chatml_with_eos_token(eos_token: str) -> str:
    """ChatML whose turns end with `eos_token`, for tokenizers without `<|im_end|>`: a model stops only at a token."""
    return CHATML.replace("<|im_end|>", eos_token)
