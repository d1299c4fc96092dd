"""Chromium, and what a page in it complains about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, sync_playwright

from tests.support.binaries import require_binary

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE_S = 30
"""Seconds for what should take a moment."""
CHECKS = (Path(__file__).parent / "accessibility.js").read_text()
"""Returns what of a page cannot be read or has no name."""
WATCH_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", ({ violatedDirective }) => violations.push(violatedDirective));
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser. Skips the test where there is none."""
    path = require_binary("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


class Visit:
    """A page and all that it complained about."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE_S * 1000)
        page.add_init_script(WATCH_VIOLATIONS)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._see)

    def _see(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def go(self, path: str, live: bool = False) -> Page:
        """Open a path; with ``live`` wait until its feed is there."""
        self.page.goto(self.url + path)
        if live:
            self.page.wait_for_selector('[data-feed="live"]')
        return self.page

    def assert_quiet(self) -> None:
        """Nothing ran, nothing was stopped from running, nothing failed."""
        assert self.complaints == []
        assert self.page.evaluate("[window.violations, window.fired ?? null]") == [[], None]
