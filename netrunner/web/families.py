"""The table of metrics: name, kind, labels and meaning of each.

This module must not know where a value comes from.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Family(NamedTuple):
    """One metric; ``docs/metrics.md`` tells the same."""

    name: str
    """As it is queried; a histogram's without ``_bucket``, ``_sum`` and ``_count``."""
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    unit: str
    meaning: str


_OF_A_MODEL = ("provider", "model")
_TARGET = ("provider", "upstream_model")

FAMILIES = (
    Family(
        "netrunner_requests_total",
        "counter",
        ("route", "dialect", "provider", "model", "status", "outcome"),
        "requests",
        "Exchanges that ended; each of them is one record.",
    ),
    Family("netrunner_errors_total", "counter", ("outcome", "code"), "requests", "Those of them that had an error."),
    Family(
        "netrunner_refusals_total",
        "counter",
        ("code", "recorded"),
        "requests",
        "Requests refused; recorded is no for those that were refused before they were an exchange.",
    ),
    Family(
        "netrunner_failed_attempts_total",
        "counter",
        ("provider", "code"),
        "attempts",
        "Tries at a provider that failed, also where another try then answered.",
    ),
    Family(
        "netrunner_tokens_total",
        "counter",
        (*_OF_A_MODEL, "kind"),
        "tokens",
        "Tokens by the word of the provider; input includes those of the cache, output those of reasoning.",
    ),
    Family("netrunner_received_bytes_total", "counter", _OF_A_MODEL, "bytes", "Bodies of requests."),
    Family("netrunner_sent_bytes_total", "counter", _OF_A_MODEL, "bytes", "Bodies of answers."),
    Family(
        "netrunner_request_duration_seconds",
        "histogram",
        _OF_A_MODEL,
        "seconds",
        "From the end of a request's head to the last byte of its answer.",
    ),
    Family(
        "netrunner_first_byte_seconds",
        "histogram",
        _OF_A_MODEL,
        "seconds",
        "From the end of a request's head to the head of the provider's answer.",
    ),
    Family(
        "netrunner_token_gap_seconds",
        "histogram",
        _OF_A_MODEL,
        "seconds",
        "From one token of a stream to the next: the mean of each stream whose provider counted its tokens.",
    ),
    Family("netrunner_target_attempts_total", "counter", _TARGET, "attempts", "Tries at a target."),
    Family(
        "netrunner_target_failures_total",
        "counter",
        _TARGET,
        "attempts",
        "Those of them that failed, and looks at its provider that did.",
    ),
    Family("netrunner_target_inflight_requests", "gauge", _TARGET, "requests", "Tries in progress."),
    Family(
        "netrunner_target_latency_seconds",
        "gauge",
        _TARGET,
        "seconds",
        "The moving average of the time to the head of its answers.",
    ),
    Family(
        "netrunner_target_state",
        "gauge",
        (*_TARGET, "state"),
        "0 or 1",
        "Whether it is asked as usual (closed), asked last (paused), left alone (open), or asked once more (probing).",
    ),
    Family(
        "netrunner_retries_total",
        "counter",
        ("provider", "told"),
        "attempts",
        "Tries again at the same provider: sent, or left out since they were over its budget.",
    ),
    Family("netrunner_inflight_requests", "gauge", (), "requests", "Exchanges in progress."),
    Family("netrunner_connections", "gauge", (), "connections", "Open connections of clients."),
    Family("netrunner_buffered_bytes", "gauge", (), "bytes", "Request bodies that are kept in memory."),
    Family(
        "netrunner_connections_cut_total",
        "counter",
        ("reason",),
        "connections",
        "Dropped without an answer: no_room, stalled, pipelined or body.",
    ),
    Family("netrunner_onlookers", "gauge", (), "connections", "Those who watch pages or tails that are live."),
    Family(
        "netrunner_onlookers_skipped_total",
        "counter",
        (),
        "events",
        "Events that were left out for onlookers too slow for them.",
    ),
    Family(
        "netrunner_upstream_connections",
        "gauge",
        ("provider", "state"),
        "connections",
        "To providers and raw routes, active or idle.",
    ),
    Family(
        "netrunner_upstream_waiting", "gauge", ("provider",), "requests", "Requests that wait for a free connection."
    ),
    Family(
        "netrunner_upstream_resent_total",
        "counter",
        (),
        "requests",
        "Sent again since a warm connection had died before a byte of the answer.",
    ),
    Family(
        "netrunner_limit_denials_total",
        "counter",
        ("scope", "limit"),
        "requests",
        "How often a limit had no room: scope is whose it is, the name of a filter for one.",
    ),
    Family(
        "netrunner_counters_available",
        "gauge",
        (),
        "0 or 1",
        "Whether limits are counted where they should be; 0 while a Redis that is shared is away.",
    ),
    Family(
        "netrunner_counted_locally_total",
        "counter",
        (),
        "requests",
        "Requests whose limits this process counted by itself, since Redis was away.",
    ),
    Family(
        "netrunner_cache_requests_total",
        "counter",
        ("outcome",),
        "requests",
        "Requests that the filter cache looked up: hit, answered from memory, or miss.",
    ),
    Family(
        "netrunner_cache_available", "gauge", (), "0 or 1", "Whether it finds answers, and keeps them, where it should."
    ),
    Family("netrunner_cache_bytes", "gauge", (), "bytes", "What the answers it keeps take."),
    Family(
        "netrunner_seals_asked_total",
        "counter",
        ("outcome",),
        "calls",
        "Calls whose seal others were asked for: found, missing, or unavailable while a Redis that is shared is away.",
    ),
    Family(
        "netrunner_seals_available",
        "gauge",
        (),
        "0 or 1",
        "Whether seals of calls are found, and kept, where they should be; 0 while a Redis that is shared is away.",
    ),
    Family("netrunner_seals_bytes", "gauge", (), "bytes", "What the seals of calls take that are kept in memory."),
    Family("netrunner_seals_damaged_total", "counter", (), "files", "Files of seals of calls that could not be read."),
    Family("netrunner_sink_lag_records", "gauge", ("sink",), "records", "Records that wait for a sink."),
    Family("netrunner_sink_written_total", "counter", ("sink",), "records", "Records a sink took."),
    Family(
        "netrunner_sink_dropped_total",
        "counter",
        ("sink",),
        "records",
        "Records that were deleted before a sink took them.",
    ),
    Family(
        "netrunner_sink_damaged_bytes_total",
        "counter",
        ("sink",),
        "bytes",
        "Parts of the journal that could not be read for a sink.",
    ),
    Family("netrunner_sink_failures", "gauge", ("sink",), "batches", "Failures in a row; 0 while all is well."),
    Family(
        "netrunner_journal_events_total",
        "counter",
        ("event",),
        "events",
        "What befell the journal: refused, unrecorded, refusals_aggregated, write_errors or sync_errors.",
    ),
    Family("netrunner_journal_full", "gauge", (), "0 or 1", "Whether the disk has no room for the journal."),
    Family(
        "netrunner_journal_crowded", "gauge", (), "0 or 1", "Whether a required sink holds all the room it may have."
    ),
    Family(
        "netrunner_journal_interrupted_total",
        "counter",
        (),
        "requests",
        "Exchanges of processes that died, closed by this one.",
    ),
    Family(
        "netrunner_journal_damaged_bytes_total",
        "counter",
        (),
        "bytes",
        "Parts of the journals of such processes that could not be read.",
    ),
    Family("netrunner_journal_free_ratio", "gauge", (), "0 to 1", "The share of its disk that the journal finds free."),
    Family(
        "netrunner_database_available",
        "gauge",
        (),
        "0 or 1",
        "Whether the database did what it was asked last; only where it is used.",
    ),
    Family(
        "netrunner_configuration_stale",
        "gauge",
        (),
        "0 or 1",
        "Whether the configuration was refused when it was read last, so that the one before is in force.",
    ),
    Family(
        "netrunner_certificate_remaining_seconds",
        "gauge",
        ("certificate",),
        "seconds",
        "Until a certificate ends that is signed with here.",
    ),
    Family(
        "netrunner_audit_entries_total",
        "counter",
        ("outcome",),
        "entries",
        "Entries of the audit that its file has taken (written), or never will (dropped).",
    ),
    Family(
        "netrunner_reactor_lag_seconds",
        "gauge",
        ("over",),
        "seconds",
        "How late the reactor comes: the last of four probes a second, and p99 and max over a minute.",
    ),
    Family("netrunner_build_info", "gauge", ("version", "python", "twisted"), "1", "What runs."),
)
EVENTS = ("refused", "unrecorded", "refusals_aggregated", "write_errors", "sync_errors")
CUTS = ("no_room", "stalled", "pipelined", "body")
