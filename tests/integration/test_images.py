"""``POST /image`` through a real daemon, the provider on a real socket."""

from __future__ import annotations

import base64
import json
import re
import struct
import subprocess
from pathlib import Path

import pytest

from netrunner.config import builtin
from tests.support.binaries import require_binary
from tests.support.client import Answer, answers
from tests.support.daemon import ROOT, Daemon
from tests.support.dialogue import PATIENCE_S, Peer, Provider, dial
from tests.support.images import png

pytestmark = pytest.mark.integration
PNG = png(700)
"""Too large for one read."""


def ask(client: Peer, **more: str) -> None:
    body = json.dumps({"model": "m", "prompt": "a lighthouse", **more}).encode()
    client.send(b"POST /image HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def told(client: Peer) -> Answer:
    (answer,) = answers(b"".join(client.message()), b"POST")
    return answer


def whole(content_type: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (content_type, len(body)) + body


def test_an_image_comes_out_whether_it_came_in_base64_or_as_it_is(tmp_path: Path) -> None:
    packed = json.dumps({"data": [{"b64_json": base64.b64encode(PNG).decode()}]}).encode()
    assert len(PNG) > 400_000
    with Provider() as provider, Daemon(tmp_path, provider.config) as daemon, dial(daemon.port) as client:
        ask(client)
        with provider.accept() as upstream:
            head, body = upstream.message()
            assert head.startswith(b"POST /v1/images/generations HTTP/1.1\r\n")
            assert json.loads(body) == {"model": "m", "prompt": "a lighthouse", "response_format": "b64_json"}
            for answer in (whole(b"application/json", packed), whole(b"image/png", PNG)):
                upstream.send(answer)
                image = told(client)
                assert (image.status, image.headers[b"content-type"]) == (200, b"image/png")
                assert image.body == PNG
                ask(client)
                upstream.message()
            upstream.send(whole(b"image/png", PNG[:499]))
            refusal = told(client)
    assert (refusal.status, json.loads(refusal.body)["error"]["code"]) == (502, "upstream_invalid_response")


def test_the_example_of_the_page_draws(tmp_path: Path) -> None:
    require_binary("curl")
    (example,) = re.findall(r"```sh\n(echo .*?)```", (ROOT / "docs" / "dialects.md").read_text(), re.DOTALL)
    with Daemon(tmp_path, re.sub(r"listen: .*\n", "", builtin.TEXT)) as daemon:
        command = example.replace("127.0.0.1:8080", f"127.0.0.1:{daemon.port}")
        subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True, timeout=PATIENCE_S)
    image = (tmp_path / "lighthouse.png").read_bytes()
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", image[16:24]) == (640, 480)
    assert b"a lighthouse at dusk" in image


def test_a_model_that_fails_is_passed_over_for_the_next_one(tmp_path: Path) -> None:
    with Provider() as provider:
        config = (
            f"providers: {{up: {{type: openai, base_url: 'http://127.0.0.1:{provider.port}'}}, echo: {{type: echo}}}}\n"
            "models:\n"
            "  - {name: text, targets: [{provider: up, model: t}]}\n"
            "  - {name: painter, images: true, targets: [{provider: up, model: p}]}\n"
            "  - {name: sketcher, images: true, targets: [{provider: echo, model: s}]}\n"
        )
        with Daemon(tmp_path, config) as daemon, dial(daemon.port) as client:
            ask(client, model="all")
            with provider.accept() as upstream:
                assert json.loads(upstream.message()[1])["model"] == "p"
                upstream.send(whole(b"image/png", PNG[:499]))
                image = told(client)
    assert (image.status, image.headers[b"content-type"]) == (200, b"image/png")
    assert b"a lighthouse" in image.body
