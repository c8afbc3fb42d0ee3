"""Completions: one retry at a new address, and the ranges of parameters."""

import pytest

from domain.errors import Invalid, Unavailable
from domain.ports.completions import Completion, CompletionRequest, ModelUnreachable
from domain.ports.model_runtime import Upstream
from domain.use_cases.completions import complete
from tests.fakes.runtime import FakeRuntime

pytestmark = pytest.mark.anyio


class FailingCompletions:
    """Raises these errors, one in each call; then completes."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def complete(
        self,
        upstream: Upstream,
        prompt: str,  # noqa: ARG002 - the port's
        *,
        max_tokens: int | None,
        temperature: float | None,  # noqa: ARG002
    ) -> Completion:
        if self.errors:
            raise self.errors.pop(0)
        return Completion(upstream.model, 1, max_tokens)


async def test_a_model_that_moved_is_retried_once_at_its_new_address() -> None:
    runtime = FakeRuntime()
    completion = await complete(
        runtime,
        FailingCompletions(ModelUnreachable("gone")),
        "a model",
        CompletionRequest("hi", max_tokens=3),
    )
    assert completion == Completion("a model", 1, 3)
    assert runtime.loaded == ["a model", "a model"]


async def test_a_model_that_is_unreachable_twice_is_unavailable() -> None:
    with pytest.raises(ModelUnreachable, match="twice"):
        await complete(
            FakeRuntime(),
            FailingCompletions(ModelUnreachable("once"), ModelUnreachable("twice")),
            "a model",
            CompletionRequest("hi"),
        )


async def test_a_model_that_does_not_respond_is_not_retried() -> None:
    runtime = FakeRuntime()
    with pytest.raises(Unavailable, match="slow"):
        await complete(runtime, FailingCompletions(Unavailable("slow")), "a model", CompletionRequest("hi"))
    assert len(runtime.loaded) == 1


@pytest.mark.parametrize(
    ("completion_request", "field"),
    [
        (CompletionRequest("  "), "prompt"),
        (CompletionRequest("x" * 65_537), "prompt"),
        (CompletionRequest("a\x00b"), "prompt"),
        (CompletionRequest("hi", max_tokens=0), "maxTokens"),
        (CompletionRequest("hi", max_tokens=4097), "maxTokens"),
        (CompletionRequest("hi", temperature=-0.1), "temperature"),
        (CompletionRequest("hi", temperature=2.1), "temperature"),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(
    completion_request: CompletionRequest, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        completion_request.validated()
    assert refused.value.field == [field]
