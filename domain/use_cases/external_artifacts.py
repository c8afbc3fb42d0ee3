"""Use cases of the artifacts of an external worker: which of its files are in storage, and which one is the model."""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from domain.artifacts import Artifact, ArtifactKind, model_artifact
from domain.errors import Conflict, Invalid, NotFound
from domain.finetunes import Finetune
from domain.ports.storage import ObjectChanged, Storage, StoredObject
from domain.rules import safe_name
from domain.status_updates import ReportedResult, shown_name, unprocessable_error
from domain.storage_keys import gguf_filename

FIELD = "result.artifacts"
MAGIC = b"GGUF"
SUFFIX = ".gguf"
MAX_NAMES = 5
"""How many file names an error names."""


async def reported_artifacts(storage: Storage, finetune: Finetune, result: ReportedResult) -> list[Artifact]:
    """The reported files as artifacts.

    Raises `Invalid` when one of them is not in storage or reported twice.
    """
    return _reported(storage, finetune, result, await _files(storage, finetune))


async def text_model_artifacts(
    storage: Storage, finetune: Finetune, result: ReportedResult
) -> list[Artifact]:
    """The reported files as artifacts, and the model also when it is in storage and not reported.

    Raises `Invalid` as `reported_artifacts` does, GGUF_MISSING without a GGUF, GGUF_AMBIGUOUS where it is unknown which
    one is the model, and GGUF_INVALID where that is not a GGUF; and `Conflict` where the model is replaced meanwhile.
    """
    files = await _files(storage, finetune)
    reported = _reported(storage, finetune, result, files)
    known = [*reported, *_unreported_ggufs(reported, files)]
    model = _require_model(storage, finetune, known)
    stored = files[model.filename]
    await _require_magic(storage, model.filename, stored)
    artifacts = [_with_quantization(finetune, model, artifact, result) for artifact in reported]
    if model in reported:
        return artifacts
    digest = await _sha256(storage, model.filename, stored)
    return [*artifacts, replace(model, sha256=digest, quantization=result.model_quantization)]


async def _files(storage: Storage, finetune: Finetune) -> dict[str, StoredObject]:
    """The files in storage by their names, without those in folders below the prefix."""
    stored = await storage.keys(finetune.prefix)
    files = {file.key.removeprefix(finetune.prefix): file for file in stored}
    return {name: file for name, file in files.items() if "/" not in name}


def _reported(
    storage: Storage, finetune: Finetune, result: ReportedResult, files: Mapping[str, StoredObject]
) -> list[Artifact]:
    counts = Counter(file.filename for file in result.files)
    for name, count in counts.items():
        if count > 1:
            raise unprocessable_error(f"The file {name} is reported {count} times.", FIELD)
        if name not in files:
            raise unprocessable_error(
                f"The file {name} is not in storage; put it under {_uri(storage, finetune)} before DONE is reported.",
                FIELD,
            )
    return [
        Artifact(
            filename=file.filename,
            kind=file.kind,
            size_bytes=files[file.filename].size,
            sha256=file.sha256.lower(),
        )
        for file in result.files
    ]


def _unreported_ggufs(reported: Sequence[Artifact], files: Mapping[str, StoredObject]) -> list[Artifact]:
    """The other GGUFs in storage, without their checksums, which take a whole read."""
    names = {artifact.filename for artifact in reported}
    return [
        Artifact(filename=name, kind=ArtifactKind.GGUF, size_bytes=file.size, sha256="")
        for name, file in files.items()
        if name.endswith(SUFFIX) and name not in names
    ]


def _require_model(storage: Storage, finetune: Finetune, known: Sequence[Artifact]) -> Artifact:
    model = model_artifact(known, finetune.model_name)
    if model is None:
        raise _no_model_error(storage, finetune, known)
    if model.kind is not ArtifactKind.GGUF:
        raise unprocessable_error(
            f"The file {model.filename} is the model; report it with the kind GGUF.", FIELD
        )
    if model.filename != safe_name(model.filename):
        raise unprocessable_error(
            f"The model is at {shown_name(model.filename)}; its file name may have letters, digits and ._- only.",
            FIELD,
        )
    return model


def _no_model_error(storage: Storage, finetune: Finetune, known: Sequence[Artifact]) -> Invalid:
    filename = gguf_filename(finetune.model_name)
    names = sorted(shown_name(file.filename) for file in known if file.kind is ArtifactKind.GGUF)
    if not names:
        return Invalid(
            f"No GGUF was reported, and none is in storage; put the model at {_uri(storage, finetune)}{filename} "
            "before DONE is reported.",
            reason="GGUF_MISSING",
            field=FIELD,
        )
    return Invalid(
        f"There are {len(names)} GGUFs, and none is named {filename}: give the model that name. They are "
        f"{', '.join(names[:MAX_NAMES])}{', …' if len(names) > MAX_NAMES else '.'}",
        reason="GGUF_AMBIGUOUS",
        field=FIELD,
    )


async def _require_magic(storage: Storage, filename: str, stored: StoredObject) -> None:
    start = b""
    if stored.size >= len(MAGIC):  # a shorter object has no such range to read
        async for chunk in _unchanged(
            storage.read(stored.key, 0, len(MAGIC) - 1, etag=stored.etag), filename
        ):
            start += chunk
    if start != MAGIC:
        raise Invalid(
            f"The file {filename} is not a GGUF: it does not begin with the bytes GGUF.",
            reason="GGUF_INVALID",
            field=FIELD,
        )


async def _sha256(storage: Storage, filename: str, stored: StoredObject) -> str:
    digest = hashlib.sha256()
    async for chunk in _unchanged(storage.read(stored.key, etag=stored.etag), filename):
        digest.update(chunk)
    return digest.hexdigest()


async def _unchanged(chunks: AsyncIterator[bytes], filename: str) -> AsyncIterator[bytes]:
    """The chunks of the file that was listed, whose size is recorded; raises `Conflict` where it is another one now."""
    try:
        async for chunk in chunks:
            yield chunk
    except (NotFound, ObjectChanged):
        raise Conflict(
            f"The file {filename} changed while it was read; report DONE again.", reason="RUN_CHANGED"
        ) from None


def _with_quantization(
    finetune: Finetune, model: Artifact, artifact: Artifact, result: ReportedResult
) -> Artifact:
    """The artifact; a GGUF with its quantization, from the update or from its file name."""
    if artifact == model:
        return replace(artifact, quantization=result.model_quantization)
    start = gguf_filename(finetune.model_name).removesuffix("gguf")
    is_other = artifact.kind is ArtifactKind.GGUF and artifact.filename.startswith(start)
    quantization = artifact.filename.removeprefix(start).removesuffix(SUFFIX) if is_other else None
    return replace(artifact, quantization=quantization)


def _uri(storage: Storage, finetune: Finetune) -> str:
    return f"{storage.uri}/{finetune.prefix}"
