"""Accounts as rows."""

from dataclasses import asdict

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.accounts import Usage, User
from domain.datasets import RunStatus
from domain.documents import DocumentKind, DocumentStatus
from infra.db.statements import Query, Statement, fetch_rows
from infra.db.tables import datasets, deployments, documents, finetunes, projects, request_logs, users

OWN_ACCOUNT = Statement(
    select(users).where(users.c.id == bindparam("id"), users.c.id == bindparam("viewer_id"))
)
"""Runs for every request that asks who is signed in; to compile it each time would take longer than to run it."""


class SqlAccounts:
    """The accounts of one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, id: str, *, viewer_id: str) -> User | None:
        """The viewer's own account; everybody else's is absent."""
        return await self._one(OWN_ACCOUNT, id=id, viewer_id=viewer_id)

    async def many(self, ids: list[str], *, viewer_id: str) -> dict[str, User]:
        """Accounts by id: the viewer's own, if it is among them."""
        found = [await self.get(viewer_id, viewer_id=viewer_id)] if viewer_id in ids else []
        return {user.id: user for user in found if user}

    async def by_email(self, email: str) -> User | None:
        """The account with this e-mail."""
        return await self._one(select(users).where(users.c.email == email))

    async def _one(self, query: Query, **parameters: str) -> User | None:
        rows = (await fetch_rows(self._session, query, parameters)).all()
        return User(**rows[0]) if rows else None

    async def add(self, user: User) -> bool:
        """Add an account; False when another one has this e-mail."""
        added = insert(users).values(**asdict(user)).on_conflict_do_nothing(index_elements=["email"])
        return (await self._session.execute(added.returning(users.c.id))).scalar() is not None

    async def usage(self, *, viewer_id: str) -> Usage:
        """Counted over everything that the viewer has."""
        mine = select(projects.c.id).where(projects.c.owner_id == viewer_id).scalar_subquery()
        logs = request_logs.join(deployments).join(projects)
        tokens = func.coalesce(request_logs.c.prompt_tokens, 0) + func.coalesce(
            request_logs.c.completion_tokens, 0
        )
        queries, used = (
            await self._session.execute(
                select(func.count(), func.coalesce(func.sum(tokens), 0))
                .select_from(logs)
                .where(projects.c.owner_id == viewer_id)
            )
        ).one()
        counts = select(
            select(func.count())
            .select_from(finetunes)
            .where(finetunes.c.project_id.in_(mine))
            .scalar_subquery(),
            select(func.count())
            .select_from(datasets)
            .where(datasets.c.project_id.in_(mine), datasets.c.status != RunStatus.DELETED)
            .scalar_subquery(),
            select(func.count())
            .select_from(documents)
            .where(
                documents.c.project_id.in_(mine),
                documents.c.kind == DocumentKind.DATASET_UPLOAD,
                documents.c.status != DocumentStatus.PENDING_UPLOAD,
            )
            .scalar_subquery(),
        )
        tunes, sets, uploads = (await self._session.execute(counts)).one()
        return Usage(
            queries_used=queries, finetune_jobs=tunes, datasets_count=sets + uploads, tokens_used=int(used)
        )
