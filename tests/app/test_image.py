"""The image, as far as reading tells: what it copies and what it installs."""

import re
import tomllib
from pathlib import Path

from infra.training import machine

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def distributions(extra: str) -> set[str]:
    """The packages of an extra, named as they are imported."""
    requirements = PYPROJECT["project"]["optional-dependencies"][extra]
    return {re.split(r"[^\w.-]", requirement)[0].replace("-", "_").lower() for requirement in requirements}


def test_everything_that_a_training_imports_is_in_the_extra_of_its_name() -> None:
    assert set(machine.PACKAGES) <= distributions("training")


def test_the_image_installs_what_a_training_needs() -> None:
    (extras,) = re.findall(r"pip install .*'\.\[(.*)\]'", DOCKERFILE)
    assert "training" in extras.split(",")


def test_every_package_that_is_shipped_is_copied_into_the_image() -> None:
    copied = set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE))
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert copied == {*wheel["packages"], *(Path(path).parts[0] for path in wheel["force-include"])}


def test_what_builds_graphiql_is_copied_into_the_image() -> None:
    copied = {path for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE) for path in line.split()}
    assert {"hatch_build.py", "web/graphiql"} <= copied


def test_the_image_is_built_with_the_locked_versions() -> None:
    assert re.search(r"^COPY .*\bconstraints\.txt .*\./$", DOCKERFILE, re.MULTILINE)
    assert "ENV PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt" in DOCKERFILE
