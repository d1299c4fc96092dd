"""The sink ``console``."""

import stat
import time

import pytest

from netrunner.sinks.console import Console, line
from netrunner.sinks.lines import LineSettings
from netrunner.testing.fakes import FakeEnvironment


def test_a_request_is_one_line(record):
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_700_000_000))
    assert line(record()) == (
        f"{at} [dddddddd] POST /v1/chat/completions -> https://api.test:443 [acme] 200 1.234s done\n"
    )


def test_a_refusal_tells_its_code_and_no_destination(record):
    refused = record(upstream=None, provider=None, status=401, outcome="refused", error="invalid_token")
    assert line(refused).endswith(" -> - [models] 401 1.234s refused invalid_token\n")


def test_a_path_that_leads_nowhere_is_told_as_such(record):
    lost = record(route="-", upstream=None, provider=None, status=404, outcome="refused", error="not_found")
    assert line(lost).endswith(" POST /v1/chat/completions -> NOT_FOUND [-] 404 1.234s refused not_found\n")


@pytest.mark.parametrize("changes", [{"status": 405}, {"route": "models"}, {"upstream": "https://api.test:443"}])
def test_only_a_path_that_leads_nowhere_is_not_found(record, changes):
    refused = {"route": "-", "upstream": None, "provider": None, "status": 404, **changes}
    assert "NOT_FOUND" not in line(record(**refused))


def test_a_raw_route_tells_its_destination_and_its_name(record):
    raw = record(method="GET", path="/api/v1/key", route="openrouter", provider="openrouter")
    assert " GET /api/v1/key -> https://api.test:443 [openrouter] 200 " in line(raw)


def test_a_hostile_record_is_one_line(hostile):
    assert len(line(hostile).splitlines()) == 1


@pytest.mark.parametrize(
    "evil", ["\n", "\r", "\x1b[2J", "\x00", "\x9b", "\u2028", "\u202e", "\u200b", "\ufeff", " ", "\x7f"]
)
def test_nothing_a_client_sends_can_end_or_forge_a_line(record, evil):
    text = line(record(path=f"/v1/a{evil}b"))
    assert len(text.splitlines()) == 1
    assert evil not in text.split("/v1/")[1].split(" ->")[0]
    assert f"\\u{{{ord(evil[0]):x}}}" in text


def test_lines_go_to_standard_output(record, run, capsys):
    sink = Console(LineSettings(), FakeEnvironment())
    sink.start()
    run(sink.write([record(), record(status=500)]))
    sink.stop()
    assert [text.split()[-3] for text in capsys.readouterr().out.splitlines()] == ["200", "500"]


def test_lines_are_appended_to_a_private_file(record, run, tmp_path):
    path = tmp_path / "log"
    for _ in range(2):
        sink = Console(LineSettings(path=str(path)), FakeEnvironment())
        sink.start()
        run(sink.write([record(path="/ä")]))
        sink.stop()
        sink.stop()
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
