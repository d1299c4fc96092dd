"""Starts what is measured and what it is measured against: the upstreams, nginx as a relay, netrunner.

This module must not measure.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks.accounting import BenchmarkError, Child, free_port
from netrunner.authority import LEAF_DAYS, Authority, create

TOKEN = "bench-token-of-a-caller"
ANSWER_BYTES = 600
ROOT = Path(__file__).resolve().parent.parent


def _answer() -> str:
    answer = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": "real-model",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 80, "total_tokens": 89},
    }
    bare = json.dumps(answer)
    return bare.replace('"content": ""', f'"content": "{"x" * (ANSWER_BYTES - len(bare))}"')


ANSWER = _answer()


def _anthropic_answer() -> str:
    usage = {"input_tokens": 9, "output_tokens": 80}
    answer = {"id": "msg_bench", "type": "message", "role": "assistant", "model": "real-model", "stop_sequence": None}
    return json.dumps(
        {**answer, "content": [{"type": "text", "text": "x" * 360}], "stop_reason": "end_turn", "usage": usage}
    )


def _gemini_answer() -> str:
    candidate = {"content": {"role": "model", "parts": [{"text": "x" * 360}]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 80, "totalTokenCount": 89}
    return json.dumps({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "real-model"})


_NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
{user}
events {{ worker_connections 8192; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {http}
}}
"""

_NGINX_UPSTREAM = """\
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ return 200 '{answer}'; }}
        location /anthropic/ {{ return 200 '{anthropic}'; }}
        location /gemini/ {{ return 200 '{gemini}'; }}
    }}
    server {{
        listen 127.0.0.1:{secure} ssl backlog=4096;
        ssl_certificate {folder}/leaf.pem;
        ssl_certificate_key {folder}/leaf.key;
        location / {{ return 200 '{answer}'; }}
    }}
"""

_NGINX_RELAY = """\
    upstream {name} {{ server 127.0.0.1:{upstream}; keepalive 2048; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /health {{ return 200 'ok'; }}
        location / {{
            proxy_pass http://{name};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 900s;
        }}
    }}
"""

_NETRUNNER = """\
listen: tcp:{port}:interface=127.0.0.1:backlog=4096
state: {folder}/state
access: {{mode: token, token: {{env: NETRUNNER_BENCH_TOKEN}}}}
providers:
  fast: {{{fast}, api_key: {{env: NETRUNNER_BENCH_KEY}}}}
  paced: {{{paced}, api_key: {{env: NETRUNNER_BENCH_KEY}}}}
models:
  - {{name: fast, targets: [{{provider: fast, model: real-model}}]}}
  - {{name: paced, targets: [{{provider: paced, model: real-model}}]}}
{recording}
"""
_REPAIRED = 'type: openai, base_url: "http://127.0.0.1:{port}/v1"'
_UNTOUCHED = f"{_REPAIRED}, repair: false"
_ANTHROPIC = 'type: anthropic, base_url: "http://127.0.0.1:{port}/anthropic"'
_GEMINI = 'type: gemini, base_url: "http://127.0.0.1:{port}/gemini"'
_TLS = 'type: openai, base_url: "https://127.0.0.1:{secure}/v1", ca_file: {authority}'
_SPEAKS = {
    "untouched": (_UNTOUCHED, _UNTOUCHED),
    "repaired": (_REPAIRED, _REPAIRED),
    "anthropic": (_ANTHROPIC, _ANTHROPIC),
    "gemini": (_GEMINI, _GEMINI),
    "tls": (_TLS, _UNTOUCHED),
}
"""What the providers of ``fast`` and ``paced`` are, by the name of the relay."""
_SPEAKS_ELSE = _REPAIRED, _UNTOUCHED
_REWRITES = ("repaired", "anthropic", "gemini")
"""Relays that may write the events of a stream anew."""
_RECORDING = {
    "netrunner": "sinks: [{{type: jsonl, path: {folder}/requests.jsonl}}]\njournal: {{bodies: none}}",
    "recorded": "sinks: [{{type: jsonl, path: {folder}/requests.jsonl}}]\njournal: {{bodies: full}}",
    "unrecorded": "sinks: []\njournal: {{durability: none}}",
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a load goes: a relay, or ``direct`` with no process of its own."""

    name: str
    fast_port: int
    paced_port: int
    child: Child | None = None
    start_s: float = 0.0
    translates: bool = False
    """Whether answers are written anew, and only what they say is the upstream's."""
    rewrites: bool = False
    """The same of the events of a stream."""
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What requests have besides, by the model they ask for."""
    secure_port: int = 0
    """Where the upstream answers by TLS what it answers at ``fast_port``."""
    authority: Path = Path()
    """Who signed its certificate."""


def require(*binaries: str) -> None:
    """Check that the programs the harness drives are there.

    Raises:
        BenchmarkError: Some are missing; the message names the Debian packages.
    """
    missing = [binary for binary in binaries if shutil.which(binary, path=_search_path()) is None]
    if missing:
        raise BenchmarkError(f"missing: {', '.join(missing)}; on Debian: apt-get install nginx-light wrk")


@contextmanager
def upstreams(folder: Path) -> Iterator[Target]:
    """Run both scripted upstreams; the target given leads straight to them."""
    fast, paced, secure = free_port(), free_port(), free_port()
    own = subfolder(folder, "upstream")
    server = _NGINX_UPSTREAM.format(
        port=fast, secure=secure, folder=own, answer=ANSWER, anthropic=_anthropic_answer(), gemini=_gemini_answer()
    )
    authority = _certify(own)
    with (
        _nginx(own, server) as fast_child,
        Child([sys.executable, "-m", "benchmarks.paced", str(paced)], folder / "paced.log", cwd=ROOT) as paced_child,
    ):
        fast_child.wait_for_200(fast, "/")
        paced_child.wait_for_200(paced, "/")
        yield Target("direct", fast, paced, secure_port=secure, authority=authority)


@contextmanager
def nginx(folder: Path, direct: Target) -> Iterator[Target]:
    """Run nginx as a relay to both upstreams, one worker, connections kept on both legs."""
    fast, paced = free_port(), free_port()
    relays = _NGINX_RELAY.format(name="fast", port=fast, upstream=direct.fast_port)
    relays += _NGINX_RELAY.format(name="paced", port=paced, upstream=direct.paced_port)
    with _nginx(subfolder(folder, "nginx"), relays) as child:
        yield Target("nginx", fast, paced, child, child.wait_for_200(fast, "/health"))


@contextmanager
def netrunner(folder: Path, direct: Target, name: str = "netrunner") -> Iterator[Target]:
    """Run netrunner under twistd with a token to check, an alias to resolve and what ``name`` says to record."""
    folder = subfolder(folder, name)
    port = free_port()
    config = folder / "bench.yaml"
    recording = _RECORDING.get(name, _RECORDING["netrunner"]).format(folder=folder)
    fast, paced = _SPEAKS.get(name, _SPEAKS_ELSE)
    config.write_text(
        _NETRUNNER.format(
            port=port,
            folder=folder,
            fast=fast.format(port=direct.fast_port, secure=direct.secure_port, authority=direct.authority),
            paced=paced.format(port=direct.paced_port),
            recording=recording,
        )
    )
    secrets = {"NETRUNNER_BENCH_TOKEN": TOKEN, "NETRUNNER_BENCH_KEY": "bench-key-of-the-provider"}
    # The tree that this harness belongs to is measured, whatever is installed.
    environ = {**os.environ, **secrets, "PYTHONPATH": str(ROOT)}
    twistd = str(Path(sys.executable).with_name("twistd"))
    argv = [twistd, "--nodaemon", "--pidfile=", "netrunner", "--config", str(config)]
    with Child(argv, folder / "twistd.log", cwd=ROOT, environ=environ) as child:
        start_s = child.wait_for_200(port, "/health")
        translates = name in ("anthropic", "gemini")
        yield Target(name, port, port, child, start_s, translates=translates, rewrites=name in _REWRITES)


@contextmanager
def bare(folder: Path, direct: Target) -> Iterator[Target]:
    """Run the least that a relay in Python can be."""
    fast, paced = free_port(), free_port()
    pairs = [f"{fast}={direct.fast_port}", f"{paced}={direct.paced_port}"]
    with Child([sys.executable, "-m", "benchmarks.bare", *pairs], folder / "bare.log", cwd=ROOT) as child:
        yield Target("bare", fast, paced, child, child.wait_for_200(fast, "/health"))


RELAYS: dict[str, Callable[[Path, Target], AbstractContextManager[Target]]] = {
    "nginx": nginx,
    "bare": bare,
    "netrunner": netrunner,
    "recorded": partial(netrunner, name="recorded"),
    "unrecorded": partial(netrunner, name="unrecorded"),
    "untouched": partial(netrunner, name="untouched"),
    "repaired": partial(netrunner, name="repaired"),
    "anthropic": partial(netrunner, name="anthropic"),
    "gemini": partial(netrunner, name="gemini"),
    "tls": partial(netrunner, name="tls"),
}


def _certify(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1 and its key; return where the certificate of who signed it is."""
    certificate, key = create("netrunner's benchmark", LEAF_DAYS, time.time())
    (folder / "ca.pem").write_bytes(certificate)
    (folder / "ca.key").touch(0o600)
    (folder / "ca.key").write_bytes(key)
    authority = Authority.read(str(folder / "ca.pem"), str(folder / "ca.key"))
    leaf = authority.certify("127.0.0.1", time.time())
    (folder / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (folder / "leaf.key").write_bytes(
        authority.leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return folder / "ca.pem"


def _nginx(folder: Path, http: str) -> Child:
    config = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(_NGINX.format(folder=folder, user=user, http=http))
    binary = shutil.which("nginx", path=_search_path())
    assert binary is not None, "require() comes first"
    return Child([binary, "-p", str(folder), "-e", f"{folder}/start.log", "-c", str(config)], folder / "nginx.log")


def subfolder(folder: Path, name: str) -> Path:
    """Return the folder of that name in another, made if it is not there."""
    path = folder / name
    path.mkdir(exist_ok=True)
    return path


def _search_path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
