"""Asking a model once."""

from domain.ports.completions import Completion, Completions, NotReached, Question
from domain.ports.model_runtime import ModelFile, ModelRuntime


async def ask(
    runtime: ModelRuntime, completions: Completions, model: ModelFile | str, question: Question
) -> Completion:
    """A model's answer, loading the model first when it is not loaded.

    Raises `Invalid` when the model is damaged or unknown, `Unavailable` when there is no answer.
    """
    try:
        return await _asked(runtime, completions, model, question)
    except NotReached:  # it was unloaded since the runtime said where it is
        runtime.forget(model if isinstance(model, str) else model.model_id)
        return await _asked(runtime, completions, model, question)


async def _asked(
    runtime: ModelRuntime, completions: Completions, model: ModelFile | str, question: Question
) -> Completion:
    return await completions.complete(
        await runtime.upstream(model),
        question.prompt,
        max_tokens=question.max_tokens,
        temperature=question.temperature,
    )
