"""Chat templates for base models that bring none."""

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chatml_ending_in(end: str) -> str:
    """ChatML whose turns end in `end`: a model stops only at a token that it has."""
    return CHATML.replace("<|im_end|>", end)
