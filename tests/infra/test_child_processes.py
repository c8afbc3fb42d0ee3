"""Children run Luthier's own modules, whatever lies in the folder that they are started from."""

import ast
import signal
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from app.program import PROGRAM
from domain.job_events import Progress
from infra.runtime import _model_process
from infra.training.subprocesses import child_process
from infra.training.trainer import ProcessTrainer
from tests.infra.runtime.tiny import write_model
from tests.infra.training.conftest import small_run
from tests.source_tree import PACKAGES, ROOT, sources

LUTHIER = str(Path(sys.executable).with_name("luthier"))


@pytest.fixture
def decoys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory: it has a package of each of our names, which raises when it is imported."""
    folder = tmp_path / "decoys"
    for name in PACKAGES:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise ImportError('a decoy was imported')")
    monkeypatch.chdir(folder)


@pytest.mark.usefixtures("decoys")
@pytest.mark.parametrize("name", PACKAGES)
def test_without_the_helper_a_package_in_the_working_directory_is_imported(name: str) -> None:
    command = [sys.executable, "-m", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "a decoy was imported" in done.stderr


@pytest.mark.anyio
@pytest.mark.usefixtures("decoys")
async def test_the_training_process_runs_our_modules(tmp_path: Path) -> None:
    trainer = ProcessTrainer(tmp_path / "models", stop_timeout_s=0.1)
    async with aclosing(trainer.train(small_run(tmp_path / "run"))) as messages:
        assert await anext(messages) == Progress(0.0, "Starting")


@pytest.mark.usefixtures("decoys")
def test_the_converter_runs_our_module() -> None:
    with child_process("infra.training.convert", "--help", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert "--outtype" in process.stdout.read()


@pytest.mark.usefixtures("decoys")
def test_the_server_that_parity_asks_runs_our_module(tmp_path: Path) -> None:
    model = str(write_model(tmp_path / "model.gguf"))
    with child_process("infra.training.llama_server", model, "256", "1", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")


@pytest.mark.anyio
@pytest.mark.usefixtures("decoys")
async def test_the_model_process_runs_our_module(tmp_path: Path) -> None:
    process = await _model_process.start(write_model(tmp_path / "model.gguf"))
    await process.stop()
    assert process.base_url.startswith("http://127.0.0.1:")


@pytest.mark.usefixtures("decoys")
@pytest.mark.parametrize(
    "command",
    [(*PROGRAM, "worker"), (*PROGRAM, "serve"), (LUTHIER, "serve")],
    ids=["worker", "serve", "serve as users run it"],
)
def test_the_command_line_runs_our_modules(command: tuple[str, ...]) -> None:
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_other_module_is_run_by_its_name_and_no_interpreter_started_that_is_not_isolated() -> None:
    found = {str(path.relative_to(ROOT)) for path in sources() if _runs_modules(ast.parse(path.read_text()))}
    assert found == {"infra/child_processes.py"}


@pytest.mark.parametrize(
    ("spawn", "found"),
    [
        ("run([sys.executable, '-m', 'app.cli'])", True),
        ("run(sys.executable, *arguments)", True),
        ("command = f'{sys.executable} -c pass'", True),
        ("run([sys.executable, '-I', '-S', 'child.py'])", False),
        ("'''Run it by `python -m app.cli`.'''", False),
    ],
)
def test_a_spawn_without_the_helper_would_be_found(spawn: str, found: bool) -> None:
    assert _runs_modules(ast.parse(spawn)) is found


def _runs_modules(tree: ast.Module) -> bool:
    """Whether a module names `-m`, or starts Python without `-I` beside it."""
    isolated = {
        id(element)
        for node in ast.walk(tree)
        if isinstance(node, ast.Tuple | ast.List) and any(_is_text(element, "-I") for element in node.elts)
        for element in node.elts
    }
    return any(
        _is_text(node, "-m")
        or (
            isinstance(node, ast.Attribute)
            and ast.unparse(node) == "sys.executable"
            and id(node) not in isolated
        )
        for node in ast.walk(tree)
    )


def _is_text(node: ast.AST, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


def test_a_process_whose_parent_died_before_it_asked_gets_the_signal_at_once() -> None:
    program = (
        "import signal; from infra.child_processes import signal_on_parent_death; "
        "signal_on_parent_death(1 << 30, signal.SIGTERM); signal.pause()"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=10, check=False)
    assert done.returncode == -signal.SIGTERM
