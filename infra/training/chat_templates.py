"""Chat templates for base models that have none."""

CHATML = (
    "{% if tools %}"
    "{{ '<|im_start|>system\n' }}"
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] + '\n\n' }}{% endif %}"
    "{{ 'You can call these tools. Each line describes one:\n<tools>\n' }}"
    "{% for tool in tools %}{{ (tool | tojson) + '\n' }}{% endfor %}"
    "{{ '</tools>\nTo call tools, answer with one block for each call:\n' }}"
    '{{ \'<tool_call>\n{"name": NAME, "arguments": {PARAMETER: VALUE}}\n</tool_call><|im_end|>\n\' }}'
    "{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'tool' %}"
    "{% if loop.first or loop.previtem['role'] != 'tool' %}{{ '<|im_start|>user' }}{% endif %}"
    "{{ '\n<tool_response>\n' + message['content'] + '\n</tool_response>' }}"
    "{% if loop.last or loop.nextitem['role'] != 'tool' %}{{ '<|im_end|>\n' }}{% endif %}"
    "{% elif not (tools and loop.first and message['role'] == 'system') %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['reasoning_content'] %}{{ '<think>' + message['reasoning_content'] + '</think>\n\n' }}{% endif %}"
    "{{ message['content'] or '' }}"
    "{% for call in message['tool_calls'] or [] %}"
    "{% if message['content'] or not loop.first %}{{ '\n' }}{% endif %}"
    "{{ '<tool_call>\n{\"name\": \"' + call['function']['name'] + '\", \"arguments\": ' }}"
    "{% if call['function']['arguments'] is string %}{{ call['function']['arguments'] }}"
    "{% else %}{{ call['function']['arguments'] | tojson }}{% endif %}"
    "{{ '}\n</tool_call>' }}"
    "{% endfor %}"
    "{{ '<|im_end|>\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML with tools as Qwen and Hermes write them: their schemas in the system turn, calls and results as tagged JSON.

Each turn is rendered by itself, reasoning included: what came before an answer is never rendered otherwise after it.
"""


def chatml_with_eos_token(eos_token: str) -> str:
    """ChatML whose turns end with `eos_token`, for tokenizers without `<|im_end|>`: a model stops only at a token."""
    return CHATML.replace("<|im_end|>", eos_token)
