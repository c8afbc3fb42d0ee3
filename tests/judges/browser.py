"""A headless browser that resolves no host but this machine."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
NEEDED = os.environ.get("LUTHIER_NEEDS_BROWSER") == "1"
"""Whether to fail without them, as in CI, rather than to skip."""
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,900",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
WAIT_S = 30
RESOURCES = "return performance.getEntriesByType('resource').map(entry => entry.name)"

PASTE = """const clipboardData = new DataTransfer()
clipboardData.setData('text/plain', arguments[1])
arguments[0].dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }))"""


class Page:
    """A page in the browser. Selenium blocks, so each call runs in a thread."""

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver

    async def open(self, url: str) -> None:
        """Load a page."""
        await asyncio.to_thread(self._driver.get, url)

    async def open_tab(self, url: str) -> None:
        """Load a page in a new tab, and switch to it."""
        await asyncio.to_thread(self._driver.switch_to.new_window, "tab")
        await self.open(url)

    async def type(self, selector: str, text: str) -> None:
        """Type into a field."""
        field = await self._found(selector)
        await asyncio.to_thread(field.send_keys, text)

    async def click(self, selector: str) -> None:
        """Click on an element once it is there."""
        await self._until(lambda: self._click(selector))

    async def replace(self, selector: str, text: str) -> None:
        """Replace the text of an editor by pasting another."""
        editor = await self._found(selector)
        await asyncio.to_thread(editor.send_keys, Keys.CONTROL, "a")
        await asyncio.to_thread(self._driver.execute_script, PASTE, editor, text)

    async def shows(self, selector: str, *parts: str) -> None:
        """Wait until an element's text has all of these."""
        try:
            await self._until(lambda: all(part in self._text(selector) for part in parts))
        except TimeoutException:
            raise AssertionError(
                f"{parts} not in {self._text(selector)!r}; {await self.console_errors()}"
            ) from None

    async def text(self, selector: str) -> str:
        """The text of an element once it has one."""
        return str(await self._until(lambda: self._text(selector)))

    async def value(self, selector: str) -> str:
        """The value of an input field."""
        field = await self._found(selector)
        return str(await asyncio.to_thread(field.get_property, "value"))

    async def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript whose last argument is a function; what that is called with."""
        return await asyncio.to_thread(self._driver.execute_async_script, script, *arguments)

    async def requested_urls(self) -> list[str]:
        """The URLs of everything that the page has loaded or called."""
        return list(await asyncio.to_thread(self._driver.execute_script, RESOURCES))

    async def console_errors(self) -> list[str]:
        """The warnings and errors in the browser's console."""
        entries = await asyncio.to_thread(self._driver.get_log, "browser")
        return [entry["message"] for entry in entries if entry["level"] in {"WARNING", "SEVERE"}]

    async def _found(self, selector: str) -> WebElement:
        found: WebElement = await self._until(lambda: self._driver.find_elements(By.CSS_SELECTOR, selector))
        return found[0]  # type: ignore[index,no-any-return]

    async def _until(self, condition: Callable[[], Any]) -> Any:
        wait = WebDriverWait(self._driver, WAIT_S, poll_frequency=0.05)
        return await asyncio.to_thread(wait.until, lambda _: condition())

    def _click(self, selector: str) -> bool:
        script = (
            "const element = document.querySelector(arguments[0]); element?.click(); return Boolean(element)"
        )
        return bool(self._driver.execute_script(script, selector))

    def _text(self, selector: str) -> str:
        script = "return document.querySelector(arguments[0])?.textContent ?? ''"
        return str(self._driver.execute_script(script, selector)).replace("\xa0", " ")


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A browser with an empty profile."""
    assert CHROMIUM, "LUTHIER_NEEDS_BROWSER is set, and there is no chromium"
    assert DRIVER, "LUTHIER_NEEDS_BROWSER is set, and there is no chromedriver"
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(executable_path=DRIVER))
    try:
        yield Page(driver)
    finally:
        driver.quit()
