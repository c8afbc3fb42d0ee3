"""The dataset's system prompt in the base model's chat template."""

from domain.control_tokens import without_control_tokens
from domain.ports.trainer import TrainingFailed
from infra.training.base_model import LocalBaseModel
from infra.training.template_input import features_of

ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}
"""How a text is written between double quotes in Jinja; the backslash comes first."""
PREFIX = (
    "{% set own_system = namespace(found=false) %}"
    "{% for message in messages %}{% if message['role'] in ['system', 'developer'] %}"
    "{% set own_system.found = true %}{% endif %}{% endfor %}"
    "{% if not own_system.found %}"
    '{% set messages = [{"role": "system", "content": "TEXT"}] + messages %}'
    "{% endif %}\n"
)
NOT_RENDERED = (
    "The base model's chat template does not render system messages, so the fine-tuned model would never read the "
    "dataset's system prompt; choose another base model, or put the text into the prompts."
)


def with_system_prompt(template: str, system_prompt: str) -> str:
    """The template with a prefix that puts a system message first where a conversation has no system or developer message.

    It is rendered alike by transformers' Jinja and llama.cpp's. Spellings of control tokens in the text are broken, as
    in a message. The prefix ends with a line break, which both remove, so that the template still begins a line.
    """
    text = without_control_tokens(system_prompt)
    for character, escape in ESCAPES.items():
        text = text.replace(character, escape)
    return PREFIX.replace("TEXT", text) + template


def set_system_prompt(base_model: LocalBaseModel, system_prompt: str) -> LocalBaseModel:
    """The base model whose chat template, and the one that is exported, has the dataset's system prompt.

    Raises `TrainingFailed` where the template ignores or refuses system messages.
    """
    if not features_of(base_model.tokenizer).system_role:
        raise TrainingFailed(NOT_RENDERED)
    own = base_model.tokenizer.chat_template
    base_model.tokenizer.chat_template = (
        {name: with_system_prompt(template, system_prompt) for name, template in own.items()}
        if isinstance(own, dict)
        else with_system_prompt(own, system_prompt)
    )
    return base_model
