"""Pages of other origins, in Chromium against a daemon: what their scripts may read, and what not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.chromium import PATIENCE_S, chromium
from tests.support.daemon import ECHO, Daemon

pytestmark = pytest.mark.integration

TOKEN = "token-of-the-callers-1234"
ACCESS = "access: {mode: token, token: {env: AUTH_TOKEN}}\n"
FETCH = """
async ([url, token, document]) => {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${token}` };
  const sent = document === null ? { headers } : { method: "POST", headers, body: JSON.stringify(document) };
  try {
    const answer = await fetch(url, sent);
    return { status: answer.status, text: await answer.text(), id: answer.headers.get("x-request-id") };
  } catch (error) {
    return { failed: error.name };
  }
}
"""
CHAT = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon whose own plain answers, asked for as ``localhost``, are the pages of the origin that may read."""
    served = Daemon(tmp_path_factory.mktemp("cors"), environ={"AUTH_TOKEN": TOKEN})
    served.write_config(f"{ECHO}{ACCESS}cors: {{origins: ['http://localhost:{served.port}']}}\n")
    with served:
        yield served


def test_the_script_of_a_known_page_reads_streams_and_errors_and_nothing_else(daemon: Daemon) -> None:
    there = f"http://127.0.0.1:{daemon.port}"
    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)

        def fetched(path: str, token: str = TOKEN, document: Any = None) -> Any:
            return page.evaluate(FETCH, [there + path, token, document])

        page.goto(f"http://localhost:{daemon.port}/ping")
        told = fetched("/v1/chat/completions", TOKEN, CHAT)
        assert (told["status"], told["text"].endswith("data: [DONE]\n\n"), len(told["id"])) == (200, True, 36)
        refused = fetched("/v1/chat/completions", "wrong", CHAT)
        assert (refused["status"], "invalid_token" in refused["text"]) == (401, True)
        assert fetched("/v1/models")["status"] == 200
        assert fetched("/api/logs") == fetched("/metrics") == {"failed": "TypeError"}
        page.goto(f"{there}/ping")
        there = f"http://localhost:{daemon.port}"
        assert fetched("/v1/chat/completions", TOKEN, CHAT) == {"failed": "TypeError"}


@pytest.mark.parametrize("path", ["/api/logs", "/api/inflight", "/metrics", "/logs", "/performance", "/"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_what_operators_look_at_stays_closed(daemon: Daemon, path: str, method: str) -> None:
    fields = {"Origin": f"http://localhost:{daemon.port}", "Access-Control-Request-Method": "POST"}
    status, headers, _ = daemon.request(method, path, headers=fields)
    assert status != 204
    assert [name for name in headers if name.startswith("access-control-")] == []
