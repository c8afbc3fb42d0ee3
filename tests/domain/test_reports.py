"""Which reports of an external worker change a run."""

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
def test_an_external_worker_moves_a_run_forwards(
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
def test_an_external_worker_does_not_move_a_run_backwards(current: RunStatus, reported: RunStatus) -> None:
    with pytest.raises(Conflict):
        check_transition(current, reported, is_external=True)


def test_our_own_runs_are_not_reported_on() -> None:
    with pytest.raises(Conflict, match="Luthier's own worker"):
        check_transition(RunStatus.RUNNING, RunStatus.DONE, is_external=False)
