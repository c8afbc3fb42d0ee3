"""langchain-tests' standard tests of chat models."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.interop.conftest import FOLDER, PYTHON, Endpoint, check_installed, output

pytestmark = pytest.mark.anyio

SKIPPED = {
    "test_image_inputs",
    "test_image_tool_message",
    "test_audio_inputs",
    "test_pdf_inputs",
    "test_pdf_tool_message",
    "test_anthropic_inputs",
    "test_stream_time",
}
"""What is no text, what is another protocol, and a measurement that needs a recording."""


async def test_all_tests_pass_but_those_of_images_and_audio(endpoint: Endpoint, tmp_path: Path) -> None:
    check_installed()
    report = tmp_path / "report.xml"
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}", f"--rootdir={tmp_path}"]
    words += ["--asyncio-mode=auto", "-c", "/dev/null", str(FOLDER / "programs" / "langchain_standard.py")]
    try:
        await output([str(PYTHON), *words], endpoint.environment, cwd=tmp_path)
    finally:
        print(report.read_text())
