"""What is ours in the database."""


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Procrastinate's tables are its own affair."""
    return not (kind == "table" and (name or "").startswith("procrastinate_"))
