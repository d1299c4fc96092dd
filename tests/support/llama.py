"""A real llama.cpp server on a tiny model of random weights: an upstream that nobody of ours has written.

Run as a program, this file is that server; what it logs is the proof of what it has done.
"""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

PATIENCE_S = 60.0
"""Seconds for what takes a second on an idle machine; whoever waits longer has failed."""

MODEL = "tiny"
"""The name that the server calls its model."""

_WIDTH, _HEADS, _HIDDEN, _LAYERS, _CONTEXT = 64, 4, 128, 2, 2048
_CONTROL = ("<|begin|>", "<|end|>")
_TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
_TASK = {
    "begun": re.compile(r"task (\d+) \| processing task"),
    "cancelled": re.compile(r"cancel task, id_task = (\d+)"),
    "over": re.compile(r"task (\d+) \| stop processing"),
}
ENDLESS = {"ignore_eos": True}
"""What a request says, in llama.cpp's own terms, that is not to end by itself: the context shifts for ever."""


def write_model(path: Path) -> None:
    """Write a llama model of some 470 KB that says the same nonsense on every machine, any byte of it."""
    import numpy
    from gguf import GGUFWriter

    tokens = [*_byte_symbols(), *_CONTROL]
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_HIDDEN)
    writer.add_head_count(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 256 + [3] * len(_CONTROL))  # Normal ones, and control tokens.
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(257)
    writer.add_chat_template(_TEMPLATE)
    random = numpy.random.default_rng(1)
    for name, shape in _tensors(len(tokens)).items():
        scale = 0.2 if len(shape) == 2 else 0.0
        base = 0.0 if len(shape) == 2 else 1.0
        writer.add_tensor(name, (base + scale * random.standard_normal(shape)).astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _byte_symbols() -> list[str]:
    """Return the characters that stand for the 256 bytes in byte-level BPE: printable ones for themselves."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def _tensors(vocabulary: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocabulary, _WIDTH),
        "output_norm.weight": (_WIDTH,),
        "output.weight": (vocabulary, _WIDTH),
    }
    for layer in range(_LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            shapes[f"blk.{layer}.{name}.weight"] = (_WIDTH,)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes[f"blk.{layer}.{name}.weight"] = (_WIDTH, _WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            shapes[f"blk.{layer}.{name}.weight"] = (_HIDDEN, _WIDTH)
        shapes[f"blk.{layer}.ffn_down.weight"] = (_WIDTH, _HIDDEN)
    return shapes


class Llama:
    """One llama.cpp server as a child process; a context manager that waits until it serves, and ends it.

    Args:
        folder: The model and the log go there.
    """

    def __init__(self, folder: Path) -> None:
        self._model = folder / "tiny.gguf"
        self._log = folder / "llama.log"

    def __enter__(self) -> Self:
        write_model(self._model)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(self._model)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        told, _, _ = select.select([self._process.stdout], [], [], PATIENCE_S)
        address = self._process.stdout.readline().decode().strip() if told else ""
        if not address.startswith("http://127.0.0.1:"):
            self.__exit__()
            raise AssertionError(f"llama.cpp did not start:\n{self.log()}")
        self.port = int(address.rpartition(":")[2])
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def log(self) -> str:
        """Return what it has logged so far."""
        return self._log.read_text(errors="replace")

    def tasks(self, state: str) -> list[int]:
        """Return the numbers of the tasks that have ``begun``, were ``cancelled`` or are ``over``."""
        return [int(number) for number in _TASK[state].findall(self.log())]

    def wait_until_cancelled(self) -> None:
        """Wait for the end of the latest task; raise ``AssertionError`` if it was not cancelled."""
        task = self.tasks("begun")[-1]
        self.wait_for(lambda: task in self.tasks("over"))
        assert task in self.tasks("cancelled"), self.log()

    def wait_for(self, happened: Callable[[], bool]) -> None:
        """Ask until something that is under way has happened; each asking lets the server turn."""
        deadline = time.monotonic() + PATIENCE_S
        while not happened():
            assert time.monotonic() < deadline, self.log()
            with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as asking:
                asking.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                asking.recv(4096)


def _serve(model: str) -> None:
    """Serve ``model`` until standard input ends, as it does when whoever started this is gone."""
    import xllamacpp  # type: ignore[import-untyped]  # a compiled module without stubs

    params: Any = xllamacpp.CommonParams()
    params.model.path, params.model_alias = model, [MODEL]
    params.port, params.n_ctx, params.n_parallel = 0, 2 * _CONTEXT, 2
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    # Equal requests get equal answers: nothing of an earlier one is used.
    params.cache_prompt, params.ctx_shift, params.warmup = False, True, False
    # Whoever says no temperature gets the same answer every time.
    params.sampling.temp = 0.0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)  # noqa: T201  # The parent reads the address here.
    sys.stdin.read()
    os._exit(0)  # Its threads would finish what they are generating, and that may be endless.


if __name__ == "__main__":
    _serve(sys.argv[1])
