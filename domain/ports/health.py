"""Health of an installation's services."""

from dataclasses import dataclass

CONNECTED = "connected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Health of each service: `connected`, or a few words on why not."""

    db: str
    queue: str
    storage: str
    llm: str
    version: str

    @property
    def is_ok(self) -> bool:
        """Whether requests can be served; the model runtime may be unavailable."""
        return self.db == self.queue == self.storage == CONNECTED

    @property
    def status(self) -> str:
        """`ok`, `degraded` when only the model runtime is unavailable, or `unavailable`."""
        if not self.is_ok:
            return "unavailable"
        return "ok" if self.llm == CONNECTED else "degraded"
