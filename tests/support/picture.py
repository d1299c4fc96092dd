"""Draws the picture of the dashboard that the README shows: a real daemon, some minutes of traffic, Chromium.

``make picture`` runs it; who applications and providers are is made up, what the page shows of them is not.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from playwright.sync_api import ViewportSize

from tests.support.chromium import chromium
from tests.support.daemon import Daemon

MINUTES = 30
"""Of traffic before it is drawn."""
SIZE: ViewportSize = {"width": 1280, "height": 880}
CONFIG = """
providers:
  openai: {type: echo}
  anthropic: {type: echo}
  ollama: {type: echo}
models:
  - {name: gpt-4o-mini, targets: [{provider: openai, model: gpt-4o-mini-2024-07-18}]}
  - {name: claude-sonnet-4-5, targets: [{provider: anthropic, model: claude-sonnet-4-5-20250929}]}
  - {name: llama3.1, targets: [{provider: ollama, model: "llama3.1:8b"}]}
"""
QUESTIONS = (
    "Which of these three suppliers delivers to Tromso in winter, and what does each of them ask for it?",
    "Summarise the minutes of the meeting in five sentences a newcomer understands.",
    "Translate the warranty terms into plain English and leave nothing out.",
    "Write a query that finds customers who have not ordered for a year.",
)
PATHS = ("/v1/chat/completions", "/v1/chat/completions", "/v1/messages", "/api/chat")
MODELS = ("gpt-4o-mini", "gpt-4o-mini", "claude-sonnet-4-5", "llama3.1")


def application(daemon: Daemon, chance: random.Random, over: threading.Event) -> None:
    """Ask one question after the other, as an application with several users does."""
    while not over.wait(chance.expovariate(1.2)):
        stream = chance.random() < 0.6
        orders = f"events={chance.randint(20, 90)} delay={chance.uniform(0.01, 0.06):.3f}" if stream else "delay=0.1"
        if chance.random() < 0.04:
            orders = f"error={chance.choice((429, 500))}"
        question = {"role": "user", "content": f"/echo {orders} {chance.choice(QUESTIONS)}"}
        body = {"model": chance.choice(MODELS), "stream": stream, "messages": [question]}
        path = chance.choice(PATHS)
        if stream and path == PATHS[0]:
            body["stream_options"] = {"include_usage": True}
        daemon.request("POST", path, {**body, "max_tokens": 500})


def draw(path: Path) -> None:
    """Write the picture to ``path``."""
    with tempfile.TemporaryDirectory() as folder, Daemon(Path(folder), CONFIG) as daemon:
        over = threading.Event()
        applications = [
            threading.Thread(target=application, args=(daemon, random.Random(number), over)) for number in range(9)
        ]
        for one in applications:
            one.start()
        try:
            time.sleep(MINUTES * 60)
            with chromium() as browser:
                page = browser.new_page(viewport=SIZE, color_scheme="light")
                page.goto(f"http://127.0.0.1:{daemon.port}/")
                page.wait_for_selector('[data-feed="live"]')
                time.sleep(2)
                page.screenshot(path=path)
        finally:
            over.set()
            for one in applications:
                one.join()


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
