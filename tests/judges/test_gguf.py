"""The second opinion on exported GGUFs finds what is wrong with a chat template."""

from pathlib import Path

import pytest

from infra.training.chat_templates import CHATML, chatml_with_eos_token
from tests.infra.runtime.tiny import write_model
from tests.judges.gguf import problems_of

PLAIN = chatml_with_eos_token("</s>").replace("<|im_start|>", "<s>")
"""The template with the special tokens of the model that is written here."""


@pytest.mark.parametrize(
    ("template", "finding"),
    [
        (None, "S001 error: chat-capable architecture but no chat template embedded"),
        (PLAIN[: len(PLAIN) // 2], "S002 error: template does not compile"),
        (PLAIN.replace("tools", "tols.x.y"), "S003 error: template raises"),
        (CHATML, "S004 error: template emits special tokens absent"),
        (PLAIN.replace("</s>", "<s>"), "S005 warn: template never emits the declared EOS"),
        (PLAIN + "{{ 7 // 2 }}", "X002 error: template will not load in llama.cpp"),
        (PLAIN.replace("Each line", "Every line"), "R001 warn: rendered prompt differs"),
    ],
)
def test_a_gguf_with_a_broken_template_is_found(tmp_path: Path, template: str | None, finding: str) -> None:
    gguf = write_model(tmp_path / "model.gguf", template=template)
    assert [problem for problem in problems_of(gguf, PLAIN) if problem.startswith(finding)]
