"""One identity everywhere: a TypeID (`finetune_01j…`) is the same in GraphQL, paths, logs and file names."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from uuid import UUID

from typeid import TypeID
from typeid.codecs.base32 import decode, encode


class Noun(StrEnum):
    """What has an identity; each value is the name of its GraphQL type."""

    USER = "User"
    PROJECT = "Project"
    DOCUMENT = "Document"
    DATASET = "Dataset"
    ITEM = "DatasetItem"
    BASE_MODEL = "BaseModel"
    FINETUNE = "Finetune"
    JOB = "Job"
    DEPLOYMENT = "Deployment"
    API_KEY = "ApiKey"
    REQUEST_LOG = "RequestLog"

    @property
    def words(self) -> str:
        """What sentences call it."""
        return WORDS.get(self) or self.name.lower().replace("_", " ")


WORDS: Mapping[Noun, str] = {Noun.FINETUNE: "fine-tune", Noun.API_KEY: "API key"}
PREFIXES: Mapping[Noun, str] = {
    Noun.USER: "user",
    Noun.PROJECT: "prj",
    Noun.DOCUMENT: "doc",
    Noun.DATASET: "ds",
    Noun.ITEM: "item",
    Noun.BASE_MODEL: "model",
    Noun.FINETUNE: "finetune",
    Noun.JOB: "job",
    Noun.DEPLOYMENT: "dep",
    Noun.API_KEY: "key",
    Noun.REQUEST_LOG: "log",
}
"""How the ids of each noun begin."""

NOUNS: Mapping[str, Noun] = {prefix: noun for noun, prefix in PREFIXES.items()}


def new(noun: Noun) -> str:
    """A fresh id; ids made later sort later."""
    return str(TypeID(PREFIXES[noun]))


def noun_of(id: str) -> Noun | None:
    """The noun that an id names, None for garbage."""
    noun = NOUNS.get(id.rpartition("_")[0])
    return noun if noun and bytes_of(id, PREFIXES[noun]) else None


def bytes_of(id: str, prefix: str) -> bytes | None:
    """The 16 bytes of the UUID inside an id, None when it is garbage or another noun's.

    Decoded without a TypeID object, which would take ten times as long.
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
    """The ids that show a column of stored UUIDs, in which some may be null."""
    start = f"{prefix}_"
    return [None if uuid is None else start + encode(uuid) for uuid in uuids]
