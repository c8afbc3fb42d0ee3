"""Use cases of completions."""

from domain.ports.completions import Completion, CompletionRequest, Completions, ModelUnreachable
from domain.ports.model_runtime import ModelFile, ModelRuntime


async def complete(
    runtime: ModelRuntime, completions: Completions, model: ModelFile | str, request: CompletionRequest
) -> Completion:
    """A completion of a model, which is loaded first when it is not loaded.

    Raises `Invalid` when the model is damaged or unknown, `Unavailable` when there is no response.
    """
    try:
        return await _complete_once(runtime, completions, model, request)
    except ModelUnreachable:  # it was unloaded or moved: the cached address is stale
        runtime.invalidate(model if isinstance(model, str) else model.model_id)
        return await _complete_once(runtime, completions, model, request)


async def _complete_once(
    runtime: ModelRuntime, completions: Completions, model: ModelFile | str, request: CompletionRequest
) -> Completion:
    return await completions.complete(
        await runtime.upstream(model),
        request.prompt,
        max_tokens=request.max_tokens,
        temperature=request.temperature,
    )
