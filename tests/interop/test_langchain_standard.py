"""langchain-tests' standard tests of chat models."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.interop.running import FOLDER, PYTHON, Endpoint, check_installed, output

pytestmark = pytest.mark.anyio

NOT_TEXT = {
    "test_audio_inputs",
    "test_image_inputs",
    "test_image_tool_message",
    "test_pdf_inputs",
    "test_pdf_tool_message",
}
OTHERS = {"test_anthropic_inputs", "test_stream_time"}
"""What is for another protocol, and what compares with a recording."""
OPTIONS = (
    "-qq",
    "--noconftest",
    "--config-file=/dev/null",
    "--asyncio-mode=auto",
    # ChatOpenAI shares its connections between its objects, and so between the event loops of tests
    "--override-ini=asyncio_default_test_loop_scope=session",
    "-pno:cacheprovider",
)


async def test_all_tests_pass_but_those_of_images_and_audio(endpoint: Endpoint, tmp_path: Path) -> None:
    check_installed()
    report = tmp_path / "report.xml"
    tests = str(FOLDER / "programs" / "langchain_standard.py")
    words = [str(PYTHON), "-m", "pytest", *OPTIONS, f"--rootdir={tmp_path}", f"--junit-xml={report}", tests]
    await output(words, endpoint.environment, cwd=tmp_path)
    cases = ET.parse(report).getroot().findall(".//testcase")  # noqa: S314 - our own file
    skipped = {case.attrib["name"] for case in cases if case.find("skipped") is not None}
    assert skipped == NOT_TEXT | OTHERS
    assert len(cases) - len(skipped) == 43
