"""How a model is asked once."""

import pytest

from domain.errors import Invalid, Unavailable
from domain.ports.completions import Completion, NotReached, Question
from domain.ports.model_runtime import Upstream
from domain.use_cases.completions import ask
from tests.fakes.runtime import FakeRuntime

pytestmark = pytest.mark.anyio


class Fickle:
    """Meets nobody the first few times, then answers."""

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


async def test_a_model_that_moved_is_looked_for_again_once() -> None:
    runtime = FakeRuntime()
    answer = await ask(runtime, Fickle(NotReached("gone")), "a model", Question("hi", max_tokens=3))
    assert answer == Completion("a model", 1, 3)
    assert runtime.loaded == ["a model", "a model"]


async def test_a_model_that_is_nowhere_is_unavailable() -> None:
    with pytest.raises(NotReached, match="twice"):
        await ask(FakeRuntime(), Fickle(NotReached("once"), NotReached("twice")), "a model", Question("hi"))


async def test_a_model_that_fails_is_not_asked_twice() -> None:
    runtime = FakeRuntime()
    with pytest.raises(Unavailable, match="slow"):
        await ask(runtime, Fickle(Unavailable("slow")), "a model", Question("hi"))
    assert len(runtime.loaded) == 1


@pytest.mark.parametrize(
    ("question", "field"),
    [
        (Question("  "), "prompt"),
        (Question("x" * 65_537), "prompt"),
        (Question("a\x00b"), "prompt"),
        (Question("hi", max_tokens=0), "maxTokens"),
        (Question("hi", max_tokens=4097), "maxTokens"),
        (Question("hi", temperature=-0.1), "temperature"),
        (Question("hi", temperature=2.1), "temperature"),
    ],
)
def test_a_question_outside_its_bounds_is_refused_by_name(question: Question, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        question.checked()
    assert refused.value.field == [field]
