"""What a dialect does: how it reads and writes requests, answers, errors and streams.

Everything here is pure: no I/O, no clock, nothing kept beyond one exchange. Bytes that stay in one dialect are read by
a tap, or by an ``IEventCodec`` where event filters look at them. Between two dialects a request becomes a
``Conversation`` (or an ``Embedding``, or a ``Picture``), and the answer block events: one dialect's ``decoder`` reads
what another's ``encoder`` writes. What callers speak is an ``IDialect``; what only providers speak is an ``ISpoken``
and no more.

This module must not import anything of netrunner.
"""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IDialect(Interface):
    """How one family of APIs writes requests, answers, errors and streams. Pure: no I/O, no clock."""

    name = Attribute("str.")
    needs_model = Attribute("frozenset of endpoints whose request must name a model.")
    event_ends = Attribute("tuple of bytes: what may end an event of a stream; the first is how we end one.")
    passes = Attribute("frozenset of lowercase request header names that go upstream.")

    def has_events(method, endpoint):
        """Return whether such answers hold block events: True, False, or None if they cannot be read as events."""

    def events(endpoint, streaming, max_bytes):
        """Return an ``IEventCodec`` for one answer of an endpoint that ``has_events``.

        Args:
            endpoint: The path below ``/v1/``.
            streaming: Whether the answer is a stream of events.
            max_bytes: The most that one event, or an answer that is no stream, may take.
        """

    def envelope(endpoint, content_type, body, query):
        """Read what routing needs of a buffered body; return an ``Envelope``.

        Args:
            endpoint: The path below the dialect's prefix; Gemini's names the model and whether to stream.
            content_type: The field's value, may be empty.
            body: As it came.
            query: Without ``?``.

        Raises:
            BadRequest: for a body that is not what it says, a duplicate routed key, a bad value.
        """

    def rename(envelope, model):
        """Return the body with the model's name replaced and every other byte as it came."""

    def address(endpoint, model):
        """Return ``endpoint`` with the model's name replaced, where the path holds it."""

    def view(envelope):
        """Return an ``IRequestView`` of the body."""

    def tap(streaming):
        """Return an ``ITap`` for one answer."""

    def status(error):
        """Return the HTTP status of an ``ExchangeError`` in this dialect."""

    def error(error):
        """Return the body bytes of an ``ExchangeError`` in this dialect."""

    def error_event(error):
        """Return the bytes that tell an ``ExchangeError`` inside a stream already begun."""

    def stream_type(method, endpoint, query):
        """Return the Content-Type of an endpoint's streams, if they can begin with ``keepalive``; empty if not."""

    def keepalive(endpoint, model, at):
        """Return the bytes that keep an idle stream open without meaning anything; empty if nothing does.

        They stand between two events, and before the first where there is a ``stream_type``.

        Args:
            endpoint: As of ``envelope``.
            model: As the caller named it.
            at: Unix time.
        """


class ISpoken(Interface):
    """What a dialect does that providers speak: requests are written in it, and answers read.

    It needs to be no ``IDialect``: some of them no caller speaks.
    """

    name = Attribute("str: what a provider's ``dialect`` says.")
    passes = Attribute("frozenset of lowercase request header names that go upstream.")

    def write(request, model, stream, gaps):
        """Return a ``Written``: a ``Conversation`` or ``Embedding`` as this dialect's providers want it.

        Usage is always asked for. A ``Picture`` is written by those that are an ``IDraws`` only.

        Args:
            request: What ``read`` of another dialect returned; never changed.
            model: The name the provider knows.
            stream: Whether the answer is to be a stream.
            gaps: As of ``read``, for everything this dialect has no place for.

        Raises:
            UnsupportedParameter: for what would change the meaning if it were left out.
        """

    def decoder(endpoint, streaming, max_bytes):
        """Return an ``IDecoder`` for one answer.

        Args:
            endpoint: What was asked for, as ``write`` named it.
            streaming: Whether the answer is a stream; providers do not always do as they are told.
            max_bytes: The most that one event, or an answer that is no stream, may take.
        """


class IDraws(ISpoken):
    """A dialect whose providers make images: ``write`` takes a ``Picture``, and its answer holds an ``Image``."""


class ISealsCalls(ISpoken):
    """A dialect whose providers want a seal back with each call; it is kept for callers whose own dialect loses it."""


class ITranslates(ISpoken):
    """A dialect that callers speak as well: requests are read in it, and answers written; beside ``IDialect``."""

    def operation(method, endpoint):
        """Return the ``Operation`` that an endpoint asks for; None for what only this dialect knows."""

    def read(envelope, endpoint, gaps):
        """Return the ``Conversation``, ``Embedding`` or ``Picture`` that a request asks for.

        Args:
            envelope: The request's.
            endpoint: As of ``envelope``.
            gaps: ``Gaps`` to be told the caller's names for what is read, and of every field that is given up.

        Raises:
            BadRequest: naming the field, for what is malformed; ``UnsupportedParameter`` for what has a meaning that
                cannot be carried to another dialect.
        """

    def encoder(asked):
        """Return an ``IEncoder`` for the answer to ``asked``, an ``Asked``."""

    def counted(tokens):
        """Return the body that answers ``Operation.COUNT``; only of a dialect that has such an endpoint."""


class ILists(Interface):
    """A dialect whose providers tell which models they have; beside ``ISpoken``."""

    listing = Attribute("Written: what such a provider is asked for its list, by GET and without a body.")

    def names_in(body):
        """Return the names in such a list.

        Raises:
            UpstreamError: ``upstream_invalid_response`` if it is none.
        """


class ILoads(Interface):
    """A dialect with requests that ask for no answer of a model; beside ``ITranslates``."""

    def loaded(asked):
        """Return the ``Answer`` to such a request, an ``Asked``; None for every other."""


class IRepairs(Interface):
    """A dialect whose answers can be repaired without leaving it; beside ``IDialect``."""

    def repairs(endpoint, envelope):
        """Return whether the answer to a request can be repaired.

        Args:
            endpoint: As of ``IDialect.envelope``.
            envelope: The request's; None if it has no body.
        """

    def ask_for_usage(body):
        """Return the body of a streamed request that asks for usage, every other byte as it came."""

    def repair(endpoint, streaming, asked_id, model, created, hide_usage, max_bytes):
        """Return what repairs one answer, an ``IRepair``; None if it is to go on as it came.

        Args:
            endpoint: One that ``repairs``.
            streaming: Whether the answer is a stream.
            asked_id: Of the exchange, for an answer that has none of its own.
            model: For an answer that names none.
            created: Unix time, for an answer that tells none.
            hide_usage: The caller has not asked for the counts in a stream.
            max_bytes: The most that one event, or an answer that is no stream, may take.
        """


class IRepair(Interface):
    """Repairs one answer, bytes in and out."""

    tap = Attribute("ITap: what the answer says about itself; it needs no other.")
    complete = Attribute("bool: as of ``IDecoder``.")
    error = Attribute("StreamError inside the answer, whose bytes have been given; None without one.")

    def feed(data, last):
        """Return what may go on of all that has come; raises as ``IDecoder.feed`` does."""


class IDecoder(Interface):
    """Reads one answer of a provider as block events."""

    complete = Attribute("bool: the answer said that it is complete, or why it is not.")

    def feed(data, last):
        """Return the list of events that the next bytes complete.

        Blocks of a choice are numbered from 0 in the order in which they begin. ``StreamError`` is the last event of an
        answer that holds one. A ``Finish`` ends each choice; no answer gets one that its provider has not given.

        Raises:
            UpstreamError: ``upstream_invalid_response``, ``answer_too_large`` for what cannot be read,
                ``upstream_truncated`` when ``last`` comes before the end; nothing may be fed after that.
        """


class IEncoder(Interface):
    """Writes block events as one answer to a caller.

    One whose errors have to go on where it has come to, with a number or inside a list, has ``error(error)`` as well,
    which is asked in place of ``IDialect.error_event``.
    """

    content_type = Attribute("bytes: the answer's Content-Type; of an image it is known when that was written.")

    def write(events):
        """Return the bytes to be sent for a sequence of events; an answer that is no stream gives none before ``end``.

        ``StreamError`` is never among them: ``IDialect.error_event`` writes errors.
        """

    def end():
        """Return what ends the answer, usage included; an answer that is no stream is all here."""


class IEventCodec(Interface):
    """Reads one answer as block events, and writes it again; of one dialect, in and out."""

    streaming = Attribute("bool.")
    complete = Attribute("bool: the answer said that it is complete, or why it is not.")

    def feed(data, last):
        """Return the chunks that the next bytes complete.

        Each has ``raw``, its bytes; ``events``; ``finishes``, whether it tells that a choice is complete or only
        what comes after that; and ``done``, whether it is the mark that ends a stream.

        Raises:
            UpstreamError: for an answer that cannot be read; nothing may be fed after that.
        """

    def write(chunk, events):
        """Return the bytes of a chunk when filters made ``events`` of its own; ``raw`` if they are the same.

        Raises:
            InternalError: ``filter_failed`` for events that cannot be written.
        """


class IRequestView(Interface):
    """The caller's document in neutral terms, for request filters; changes become a patch of that document."""

    shape = Attribute("``Shape`` of the dialect's requests.")
    opaque = Attribute("bool: there is a body, and none whose fields can be told.")

    def messages():
        """Return the turns as a tuple of ``Message``; a completion's prompt is one user turn."""

    def append_system(text):
        """Add an instruction after everything else."""

    def params():
        """Return sampling parameters under neutral names: temperature, top_p, max_tokens, stop, seed, ..."""

    def set_param(name, value):
        """Set one of the neutral parameters; None removes it."""

    def extras():
        """Return every other field of the document, read-only."""

    def turns():
        """Return the name of the field in which the turns stand, and its value as it came; None without one."""

    def fields():
        """Return the full names of all parameters and extras, each with its neutral name, or None if it has none.

        Fields of an object that holds parameters are named one by one: ``options.temperature``. Where several fields
        mean one parameter, all that are there are named. Nothing is decoded but those objects.

        Raises:
            BadRequest: ``duplicate_key`` for a field that is there in two spellings.
        """

    def value(name):
        """Return the value of one of ``fields``, decoded."""

    def changed():
        """Return whether anything was changed."""

    def body():
        """Return the document with the changes applied; the bytes as they came when there are none."""


class ITap(Interface):
    """Reads an answer passing by, without holding any of it back; never raises.

    A stream's tap also has ``began``, which tells whether a whole event has come; comments are none.
    """

    usage = Attribute("Usage or None.")
    finish_reason = Attribute("str or None: the provider's own word.")
    error = Attribute("str or None: code of an error inside the answer.")
    complete = Attribute("bool: the answer said that it is complete.")
    made = Attribute("float: about how many tokens its texts take, where they were read; 0 where not.")

    def feed(data):
        """See the next bytes of the body, content coding removed."""

    def close():
        """The body ended; settle what depends on its end."""
