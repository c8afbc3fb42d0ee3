from dataclasses import replace

import pytest

from infra.training.parity import PromptResult, compare, load_failure

SAME = PromptResult("Hi?", "<s>user: Hi?", [1, 5, 9], "Hello.")


def test_equal_results_pass() -> None:
    report = compare([SAME] * 3, [SAME] * 3, None)
    assert (report.passed, report.prompts_compared, report.outputs_matching) == (True, 3, 3)
    assert report.detail is None


@pytest.mark.parametrize(
    ("gguf_result", "template", "tokens", "what"),
    [
        (replace(SAME, rendered="user: Hi?"), False, True, "rendered templates"),
        (replace(SAME, token_ids=[1, 1, 5, 9]), True, False, "token ids"),
    ],
)
def test_one_different_template_or_token_fails(
    gguf_result: PromptResult, template: bool, tokens: bool, what: str
) -> None:
    report = compare([SAME] * 20, [SAME] * 19 + [gguf_result], None)
    assert not report.passed
    assert (report.template_matches, report.token_ids_match) == (template, tokens)
    assert (report.detail or "").startswith(f"1 of 20 {what} differ, first for 'Hi?'")


@pytest.mark.parametrize(("different", "passed"), [(1, True), (2, False)])
def test_one_answer_in_ten_may_differ(different: int, passed: bool) -> None:
    gguf_results = [SAME] * (10 - different) + [replace(SAME, output="Hello!")] * different
    report = compare([SAME] * 10, gguf_results, None)
    assert (report.passed, report.outputs_matching) == (passed, 10 - different)
    assert f"{different} of 10 outputs differ" in (report.detail or "")


def test_a_bos_that_llama_leaves_to_its_tokenizer_is_no_difference() -> None:
    assert compare([SAME], [replace(SAME, rendered="user: Hi?")], "<s>").passed


def test_a_letter_that_the_limit_cut_in_half_is_no_difference() -> None:
    assert compare([replace(SAME, output="Grü\ufffd")], [replace(SAME, output="Grü")], None).passed


def test_a_gguf_that_does_not_load_fails_with_the_reason() -> None:
    report = load_failure(OSError("it does not load"), 16)
    assert (report.passed, report.outputs_matching, report.prompts_compared) == (False, 0, 16)
    assert report.detail == "llama.cpp could not answer with the exported GGUF: it does not load"
