"""What one open transaction can reach, and how it is opened."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from domain.accounts import Accounts
from domain.api_keys import ApiKeys
from domain.base_models import BaseModels
from domain.datasets import Datasets
from domain.deployments import Deployments, RequestLogs
from domain.documents import Documents
from domain.finetunes import Finetunes
from domain.idempotency import Idempotency
from domain.items import Items
from domain.jobs import Chores, Jobs
from domain.projects import Projects


class Store(Protocol):
    """The stores of every noun, on one connection."""

    @property
    def accounts(self) -> Accounts: ...
    @property
    def api_keys(self) -> ApiKeys: ...
    @property
    def base_models(self) -> BaseModels: ...
    @property
    def chores(self) -> Chores: ...
    @property
    def datasets(self) -> Datasets: ...
    @property
    def deployments(self) -> Deployments: ...
    @property
    def documents(self) -> Documents: ...
    @property
    def finetunes(self) -> Finetunes: ...
    @property
    def idempotency(self) -> Idempotency: ...
    @property
    def items(self) -> Items: ...
    @property
    def jobs(self) -> Jobs: ...
    @property
    def projects(self) -> Projects: ...
    @property
    def request_logs(self) -> RequestLogs: ...


class Transactions(Protocol):
    """Opens transactions, and what only reads, which needs none."""

    def read(self) -> AbstractAsyncContextManager[Store]:
        """For statements that change nothing and lock nothing: each sees what is committed when it begins."""
        ...

    def begin(self) -> AbstractAsyncContextManager[Store]:
        """Commits when the block ends, rolls back when it raises."""
        ...
