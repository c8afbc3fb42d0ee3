"""One identity everywhere: a TypeID (`finetune_01j…`) is the same in GraphQL, paths, logs and file names."""

from uuid import UUID

from typeid import TypeID
from typeid.codecs.base32 import encode
from typeid.errors import TypeIDException

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
    return noun if noun and uuid_of(id, PREFIXES[noun]) else None


def uuid_of(id: str, prefix: str) -> UUID | None:
    """The UUID inside an id, None when it is garbage or another noun's."""
    if not id.startswith(f"{prefix}_"):
        return None
    try:
        return UUID(bytes=TypeID.from_string(id).uuid.bytes)
    except TypeIDException:
        return None


def id_of(uuid: UUID, prefix: str) -> str:
    """The id that shows a stored UUID; without a TypeID in between, which takes five times as long."""
    return f"{prefix}_{encode(uuid.bytes)}"
