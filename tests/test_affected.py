"""Which tests `make check` runs, and when it stops."""

from pathlib import Path

import pytest

from tests.affected import Deadline, affected_by

SOURCE_TREE = "tests/test_source_tree.py"


def test_what_imports_a_changed_module_is_affected() -> None:
    importers = ["tests/schema/admission/test_limits.py", "tests/schema/test_engine.py"]
    assert affected_by({"tests/schema/admission/attacks.py"}) == [SOURCE_TREE, *importers]


def test_the_nearest_come_first() -> None:
    found = affected_by({"domain/errors.py"})
    assert found.index("tests/test_errors.py") < found.index("tests/infra/training/test_parity.py")


def test_a_changed_test_comes_before_what_imports_a_changed_module() -> None:
    changed = {"tests/schema/admission/attacks.py", "tests/schema/test_engine.py"}
    importers = ["tests/schema/test_engine.py", "tests/schema/admission/test_limits.py"]
    assert affected_by(changed) == [SOURCE_TREE, *importers]


def test_a_file_that_is_no_module_affects_what_names_it() -> None:
    assert affected_by({"Dockerfile"}) == [SOURCE_TREE, "tests/app/test_image.py", "tests/test_affected.py"]
    assert "tests/interop/test_frameworks.py" in affected_by({"tests/interop/programs/litellm_client.py"})


def test_a_conftest_affects_all_tests_below_it() -> None:
    below = {str(path) for path in Path("tests/judges").glob("test_*.py")}
    assert below <= set(affected_by({"tests/judges/conftest.py"}))
    assert "tests/schema/http/test_view.py" in affected_by({"tests/conftest.py"})


def test_what_is_deleted_affects_nothing() -> None:
    assert affected_by({"domain/deleted.py", "tests/test_deleted.py"}) == [SOURCE_TREE]


@pytest.mark.parametrize(
    ("seconds", "passes", "begun", "code"), [(60, True, "ab", 0), (0, True, "a", 0), (0, False, "a", 1)]
)
def test_no_further_test_is_begun_when_the_time_is_over(
    tmp_path: Path, seconds: int, passes: bool, begun: str, code: int
) -> None:
    name = tmp_path.name  # pytest keeps modules by their names: each case needs its own
    (tmp_path / "pytest.ini").write_text("[pytest]")
    (tmp_path / f"{name}_a.py").write_text(f"def test_a():\n    assert {passes}")
    (tmp_path / f"{name}_b.py").write_text("def test_b():\n    pass")
    deadline = Deadline(seconds)
    options = ("--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:faulthandler")
    assert pytest.main([str(tmp_path), *options], plugins=[deadline]) == code
    assert deadline.started == {f"{name}_{letter}.py" for letter in begun}
