"""One identity everywhere: a TypeID (`finetune_01j…`) is the same in GraphQL, paths, logs and file names."""

from collections.abc import Iterable
from uuid import UUID

from typeid import TypeID
from typeid.codecs.base32 import decode, encode

PREFIXES = {
    "User": "user",
    "Project": "prj",
    "Document": "doc",
    "Dataset": "ds",
    "DatasetItem": "item",
    "BaseModel": "model",
    "Finetune": "finetune",
    "Job": "job",
    "Deployment": "dep",
    "ApiKey": "key",
    "RequestLog": "log",
}
"""Each noun that has an identity, and the prefix of its ids."""

NOUNS = {prefix: noun for noun, prefix in PREFIXES.items()}


def new(noun: str) -> str:
    """A fresh id; ids made later sort later."""
    return str(TypeID(PREFIXES[noun]))


def noun_of(id: str) -> str | None:
    """The noun that an id names, None for garbage."""
    noun = NOUNS.get(id.rpartition("_")[0])
    return noun if noun and bytes_of(id, PREFIXES[noun]) else None


def bytes_of(id: str, prefix: str) -> bytes | None:
    """The 16 bytes of the UUID inside an id, None when it is garbage or another noun's.

    Without a TypeID in between, here and below, which takes ten times as long.
    """
    kind, _, suffix = id.rpartition("_")
    if kind != prefix or suffix[:1] > "7":  # 26 letters of five bits are two bits more than a UUID has
        return None
    try:
        return decode(suffix)
    except (RuntimeError, ValueError):  # the latter for half of a surrogate pair
        return None


def uuid_of(id: str, prefix: str) -> UUID | None:
    """The UUID inside an id, None when it is garbage or another noun's."""
    found = bytes_of(id, prefix)
    return None if found is None else UUID(bytes=found)


def id_of(uuid: bytes, prefix: str) -> str:
    """The id that shows the 16 bytes of a stored UUID."""
    return f"{prefix}_{encode(uuid)}"


def ids_of(uuids: Iterable[bytes | None], prefix: str) -> list[str | None]:
    """The same of a column, in which there may be none."""
    start = f"{prefix}_"
    return [None if it is None else start + encode(it) for it in uuids]
