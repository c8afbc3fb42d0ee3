"""Ids: TypeIDs (`finetune_01j…`), the same in GraphQL, REST paths, logs and file names."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from typeid import TypeID
from typeid.codecs.base32 import decode, encode


class Noun(StrEnum):
    """Nouns whose objects have ids; each value is the name of the GraphQL type."""

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
        """The noun in a sentence."""
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
"""The prefix of each noun's ids."""

NOUNS: Mapping[str, Noun] = {prefix: noun for noun, prefix in PREFIXES.items()}


def new(noun: Noun) -> str:
    """A new id; ids that are made later sort later."""
    return str(TypeID(PREFIXES[noun]))


def derived(noun: Noun, name: str) -> str:
    """The id of the object that has this name in every installation: the same for the same name."""
    prefix = PREFIXES[noun]
    return id_of(uuid5(NAMESPACE_URL, f"{prefix}:{name}").bytes, prefix)


def noun_of(id: str) -> Noun | None:
    """The noun of an id; None when it is malformed."""
    noun = NOUNS.get(id.rpartition("_")[0])
    return noun if noun and bytes_of(id, PREFIXES[noun]) else None


def bytes_of(id: str, prefix: str) -> bytes | None:
    """The 16 bytes of the UUID in an id; None when it is malformed or has another prefix.

    Decoded without a `TypeID` object, which takes ten times as long.
    """
    found, _, suffix = id.rpartition("_")
    if found != prefix or suffix[:1] > "7":  # 26 letters of five bits are two bits more than a UUID has
        return None
    try:
        return decode(suffix)
    except (RuntimeError, ValueError):  # ValueError for half of a surrogate pair
        return None


def uuid_of(id: str, prefix: str) -> UUID | None:
    """The UUID in an id; None when it is malformed or has another prefix."""
    found = bytes_of(id, prefix)
    return None if found is None else UUID(bytes=found)


def id_of(uuid: bytes, prefix: str) -> str:
    """The id of a stored UUID's 16 bytes."""
    return f"{prefix}_{encode(uuid)}"


def ids_of(uuids: Iterable[bytes | None], prefix: str) -> list[str | None]:
    """The ids of a column of stored UUIDs; null stays None."""
    beginning = f"{prefix}_"
    return [None if uuid is None else beginning + encode(uuid) for uuid in uuids]
