"""Whether the parts of an installation answer."""

from dataclasses import dataclass

CONNECTED = "connected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Each part is `connected`, or says in a few words why it is not."""

    db: str
    queue: str
    storage: str
    llm: str
    version: str

    @property
    def is_ok(self) -> bool:
        """Whether requests can be served; models may be away for a while."""
        return self.db == self.queue == self.storage == CONNECTED

    @property
    def status(self) -> str:
        """`ok`, `degraded` while models do not answer, or `unavailable`."""
        if not self.is_ok:
            return "unavailable"
        return "ok" if self.llm == CONNECTED else "degraded"
