"""What is written down of an exchange before its first provider is called, and who looks on from then.

This module must not send anything anywhere.
"""

from __future__ import annotations

from functools import partial

from twisted.logger import Logger

from netrunner.errors import Overloaded
from netrunner.http.request import Request
from netrunner.interfaces import ILiveSink, IWatcher
from netrunner.journal.entry import REQUEST
from netrunner.journal.masking import mask_query
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.keeping import Keeping
from netrunner.pipeline.recording import SLICE_BYTES, Recording
from netrunner.pipeline.shared import Pipeline
from netrunner.values import Outcome, Record

_log = Logger()


def tell_intent(pipeline: Pipeline, exchange: Exchange, request: Request, listener: IWatcher | None) -> None:
    """Write down that a provider is about to be called, before anything of it leaves.

    Args:
        pipeline, exchange, request: What is about to call.
        listener: Hears the answer as the caller gets it, if a filter remembers it.

    Raises:
        Overloaded: when it cannot be written down.
    """
    observing = pipeline.observing
    watchers = exchange.recording.watchers if exchange.recording is not None else ()
    rules = observing.redaction, observing.secret_header
    exchange.recording = recording = Recording(*rules) if listener is None else Keeping(listener, *rules)
    recording.watchers = watchers
    for sink in observing.live_sinks:
        recording.watch(_watchers(sink, exchange.record()))
    target = exchange.path + b"?" + mask_query(exchange.query) if exchange.query else exchange.path
    start = b"%b %b HTTP/1.1" % (exchange.method, target)
    body = request.body()
    whole = body if len(body) <= SLICE_BYTES else b""
    recording.begin(pipeline.journal, exchange.record, partial(_unrecorded, exchange), start, exchange.headers, whole)
    if whole is not body:
        recording.take(body, exchange.clock)
    if exchange.upload is not None:
        exchange.upload.observe(partial(recording.piece, REQUEST))


def _unrecorded(exchange: Exchange) -> None:
    """The journal could not be written after all."""
    if exchange.work is not None:
        exchange.work.stop(
            Outcome.REFUSED, Overloaded("The request cannot be recorded.", code="journal_full", retry_after_s=5)
        )


def _watchers(sink: ILiveSink, record: Record) -> list[IWatcher]:
    """Return the watcher a sink gives for an exchange, if it gives one."""
    try:
        watcher = sink.watch(record)
    except Exception:  # noqa: BLE001 - the border to a sink: whatever it raises stays here
        _log.failure("a sink could not watch")
        return []
    return [] if watcher is None else [watcher]
