"""Transitions of a run's status by an external worker."""

import pytest

from domain.datasets import RunStatus
from domain.errors import Conflict
from domain.status_updates import check_transition


@pytest.mark.parametrize(
    ("current", "reported", "changes"),
    [
        (RunStatus.PLANNING, RunStatus.RUNNING, True),
        (RunStatus.RUNNING, RunStatus.RUNNING, True),
        (RunStatus.RUNNING, RunStatus.DONE, True),
        (RunStatus.DONE, RunStatus.DONE, False),
        (RunStatus.FAILED, RunStatus.FAILED, False),
    ],
)
def test_a_report_of_a_later_status_changes_the_run(
    current: RunStatus, reported: RunStatus, changes: bool
) -> None:
    assert check_transition(current, reported, is_external=True) is changes


@pytest.mark.parametrize(
    ("current", "reported"),
    [
        (RunStatus.DONE, RunStatus.RUNNING),
        (RunStatus.DONE, RunStatus.FAILED),
        (RunStatus.ABORTED, RunStatus.DONE),
    ],
)
def test_a_report_of_an_earlier_status_is_a_conflict(current: RunStatus, reported: RunStatus) -> None:
    with pytest.raises(Conflict):
        check_transition(current, reported, is_external=True)


def test_a_report_on_a_run_of_luthiers_own_worker_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="Luthier's own worker"):
        check_transition(RunStatus.RUNNING, RunStatus.DONE, is_external=False)
