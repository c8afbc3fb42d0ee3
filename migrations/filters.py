"""Which tables Alembic manages."""


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """False for Procrastinate's tables, which its own migrations change."""
    return not (kind == "table" and (name or "").startswith("procrastinate_"))
