from pathlib import Path

import pytest

from app.failures import StartError
from app.work_folder import use_work_folder
from rest.temporary_folders import temporary_folder

LEFT = ("document-abc", "import-xyz", "results-abc", "export-abc")
KEPT = "finetune_01"


def leave(folder: Path) -> None:
    for name in (*LEFT, KEPT):
        (folder / name).mkdir(parents=True)
        (folder / name / "table").write_text("a,b\n")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_a_worker_sweeps_what_killed_ones_left_and_keeps_checkpoints(tmp_path: Path) -> None:
    leave(tmp_path)
    with use_work_folder(tmp_path):
        assert names(tmp_path) == {KEPT}


def test_a_worker_that_is_not_alone_leaves_the_folders_of_the_others(tmp_path: Path) -> None:
    with use_work_folder(tmp_path):
        leave(tmp_path)
        with use_work_folder(tmp_path):
            assert names(tmp_path) == {*LEFT, KEPT}
        with use_work_folder(tmp_path):
            assert names(tmp_path) == {*LEFT, KEPT}
    with use_work_folder(tmp_path):
        assert names(tmp_path) == {KEPT}


@pytest.mark.anyio
async def test_a_worker_leaves_the_folder_of_a_request(tmp_path: Path) -> None:
    async with temporary_folder(tmp_path, "export-") as folder:
        with use_work_folder(tmp_path):
            assert names(tmp_path) == {folder.name}
    assert names(tmp_path) == set()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StartError, match=r"/file/work cannot be written: Not a directory$"),
        use_work_folder(tmp_path / "file" / "work"),
    ):
        pass
