"""All that a plugin implements or is handed.

Everything is called on the reactor's thread. ``async`` methods are called once per request or attempt and
may take their time; plain ones are on the hot path and must not block. A filter that raises anything but an
``ExchangeError`` ends the request with a clean 500 (filters fail closed); a sink that raises never touches a
request (sinks fail open).

This module must not import anything of netrunner but ``values``, ``events``, ``settings`` and ``errors``.
"""

from __future__ import annotations

from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface


class IClock(Interface):
    """Time, as everything here is told it."""

    def seconds():
        """Return monotonic seconds; only differences mean anything."""

    def wall():
        """Return Unix time in seconds."""

    def callLater(delay, callable, *args, **kw):
        """Call ``callable`` after ``delay`` seconds; return an ``IDelayedCall`` whose owner cancels it."""


class ICounters(Interface):
    """Counts what limits limit, for everybody who limits: filters, models, targets, tokens.

    A ``netrunner.claims.Claim`` names whom something is counted for, and what it may have. Whoever holds a grant ends
    it in one place, which every exchange passes: by ``release``, or by ``withdraw``.
    """

    denials = Attribute("Counter: how often a limit refused somebody, by the claim's scope and the limit's name.")
    available = Attribute("bool: whether it is counted where it should be.")
    fallbacks = Attribute("int: how many requests were counted elsewhere, while it was not.")

    async def reserve(claims, tokens=0):
        """Admit one request against all of ``claims``, or against none of them.

        Where counts are kept in this process it never waits.

        Args:
            claims: A sequence of ``Claim``, no two for the same subject of a scope.
            tokens: What the request is expected to take, its answer included; 0 if nobody limits tokens. A window that
                is smaller lets it in when nothing else is in it.

        Returns:
            A ``Grant``, or a ``Denial`` that tells which claim was refused and when to come again; nothing is counted
            then.

        Raises:
            Overloaded: ``counters_unavailable``, when counts are shared and cannot be reached.
        """

    def release(grant, tokens=None):
        """The request is over; it does not count as one of those at once any more. Idempotent.

        Args:
            grant: What ``reserve`` returned.
            tokens: What it really took, counted in place of what was expected in those windows that it was admitted to
                and that are open still; None if nobody knows.
        """

    def withdraw(grant):
        """Take a grant back, as if nobody had asked for it but for the gap it began. Idempotent.

        For a request that others refused, or that was not sent after all; after ``release`` it does nothing.
        """

    async def used(scope, subject, windows):
        """Return how much of each is used: whether it counts tokens, and its seconds. May raise as ``reserve``."""


class ISection(Interface):
    """One mapping of the configuration, located by file and line."""

    where = Attribute("``file:line`` of the section, for messages.")

    def read(settings_class):
        """Read the section into a frozen dataclass of ``netrunner.settings.setting`` fields.

        Raises:
            ConfigurationError: with every unknown key, wrong type and value out of range.
        """

    def keys():
        """Return the keys present."""


class IEnvironment(Interface):
    """What a plugin is handed to do its work; never the server."""

    name = Attribute("str: the name the section has in the configuration.")
    clock = Attribute("IClock.")
    log = Attribute("twisted.logger.Logger under the plugin's name.")
    http = Attribute("treq's HTTPClient for side calls (tokens, probes, shipping); not for the data path.")
    random = Attribute("random.Random: the one source of chance.")
    copies = Attribute("ICopies: recorded messages; for sinks.")
    store = Attribute("ILogStore: the configured database, loaded when first asked for; for sinks.")
    counters = Attribute("ICounters: what limits count with, in this process or shared with others.")

    def http_for(ca_file):
        """Return ``http`` that trusts the authorities of a PEM file instead of the system's; ``http`` for None.

        Raises:
            ConfigurationError: when there is no certificate to be read from it.
        """

    def shared_store(space):
        """Return a new ``netrunner.shared.ISharedStore`` for ``space``; only where ``shared`` is a server's URL."""

    def in_thread(pool, function, *arguments):
        """Call a function that blocks in a thread of ``pool``; return a Deferred of what it returns or raises.

        Args:
            pool: A ``twisted.python.threadpool.ThreadPool`` of the plugin's own, which it starts and stops.
        """


class IPluginFactory(IPlugin):
    """Makes one kind of provider, filter or sink. Work starts only in ``start``, if the plugin has one."""

    name = Attribute("str: the ``type`` in the configuration; unique among its kind.")
    doc = Attribute("str: one line for ``netrunner plugins``.")
    settings = Attribute("The frozen dataclass its section is read into; documents its keys.")

    def parse(section):
        """Return frozen settings from an ``ISection``; pure and strict.

        Raises:
            ConfigurationError: for anything that is wrong in the section.
        """

    def build(settings, environment):
        """Return the plugin for these settings. Opens nothing, starts nothing."""


class IProviderFactory(IPluginFactory):
    """Makes providers."""


class IFilterFactory(IPluginFactory):
    """Makes filters."""


class ISinkFactory(IPluginFactory):
    """Makes log sinks."""


class IStartable(Interface):
    """A plugin with something to start and stop; optional for every kind."""

    def start():
        """Begin; called once in the running process. May return a Deferred."""

    def stop():
        """End and release everything. May return a Deferred, which is awaited for a bounded time."""


class IProvider(Interface):
    """Someone who serves models. Opens no sockets."""

    dialect = Attribute("str: name of the dialect it speaks.")
    settings = Attribute("ProviderSettings, or whatever its factory parsed.")

    def build(call):
        """Return the ``UpstreamRequest`` for one attempt.

        Args:
            call: a ``Call``: what is to be asked of this provider, model name already replaced.

        Raises:
            ExchangeError: if the provider cannot serve this call; nothing is sent then.
        """

    def serves(endpoint, model_named):
        """Return whether ``endpoint`` (the path below ``/v1/``) may be called with this provider's key."""

    def classify(status, headers, body):
        """Return an ``UpstreamRejected`` for an error answer: status, code, retryable, retry-after.

        Args:
            status: HTTP status, 400 or more.
            headers: of the answer.
            body: the first 64 KiB of its body. The keys that it was asked with are masked in both.
        """


class IPrepares(Interface):
    """A provider that needs something (a token) before ``build``."""

    async def prepare(call):
        """Get ready for ``call``; awaited before every ``build``. Raises ``ExchangeError`` if it cannot."""


class ISpeaksMore(Interface):
    """A provider that understands requests of further dialects as they are."""

    also = Attribute("frozenset of their names, beside ``dialect``.")


class ISteps(Interface):
    """A provider whose requests may take several steps: a file sent first, an answer asked on; beside ``IProvider``."""

    def over(upstream):
        """Return the ``IUpstream`` that takes this provider's requests, in steps, to ``upstream``."""


class IAdapts(Interface):
    """A provider that leaves things out of requests of its own dialect; its calls carry ``gaps``, to be told."""


class IUpstream(Interface):
    """Sends requests: a connection pool, or a provider that answers in this process."""

    def send(request, receiver):
        """Send ``request`` and tell ``receiver`` what comes back; return an ``IUpstreamCall``.

        Nothing but the receiver's ``sent`` is called before ``send`` has returned: a warm connection
        takes the request at once.
        """


class IUpstreamCall(Interface):
    """One request on its way."""

    def pause():
        """Stop reading the response until ``resume``; idempotent."""

    def resume():
        """Read on; idempotent."""

    def abort():
        """Give up at once: the connection is aborted and the receiver hears nothing more; idempotent."""

    def write(data):
        """Send raw bytes after a protocol switch."""

    def end():
        """No more raw bytes follow: this direction is closed when they are out.

        The other one stays open until the upstream ends it; where the transport knows no half (TLS), both close.
        """

    def register_producer(producer):
        """After a protocol switch: pause and resume ``producer``, an ``IPushProducer``, as the upstream takes bytes."""


class IResponseReceiver(Interface):
    """Hears one response: ``sent``, ``head_received``, ``body_received`` ..., or ``failed`` at any time."""

    def sent(reused):
        """The request was handed to a connection; ``reused`` tells whether it was a warm one.

        Called again when the request is sent again because that connection died (``resend: no_response``).
        """

    def head_received(head):
        """The final ``ResponseHead`` arrived. A 101 is followed by raw bytes of the new protocol."""

    def body_received(data, last):
        """At most once per read: the next bytes of the body, framing removed.

        ``last`` is True exactly once, with or without bytes, when the body is complete.
        """

    def failed(error):
        """The response did not complete; ``error`` is an ``UpstreamError``. Nothing follows."""


class IHeadPhase(Interface):
    """A filter that decides on the request's head, before any byte of the body is read."""

    async def on_head(exchange):
        """Called once at the end of the headers. Raise an ``ExchangeError`` to refuse."""


class IRequestPhase(Interface):
    """A filter that sees the whole request once, before a candidate is chosen."""

    async def on_request(exchange):
        """Return None to go on, an ``Answer`` to answer at once, or raise an ``ExchangeError`` to refuse.

        ``exchange.view()`` is the request in neutral terms; ``exchange.notes[self]`` is this filter's
        own state for this exchange.
        """


class IAttemptPhase(Interface):
    """A filter that sees each attempt before it is sent."""

    async def on_attempt(exchange, request):
        """Return None, or an ``UpstreamRequest`` to be sent instead; or raise an ``ExchangeError``."""


class ICallers(Interface):
    """Knows who calls by their tokens; what ``access.mode: projects`` asks."""

    def known(credential):
        """Return the ``ICaller`` of a credential that is known here, None for one that has to be asked for."""

    async def ask(credential):
        """Return the ``ICaller`` of a credential.

        Raises:
            Unauthenticated: for what nobody was given.
            Overloaded: ``store_unavailable`` when that cannot be told now.
        """

    async def admit(caller, counters):
        """Count one request of ``caller``, who has been checked, its windows by ``counters``.

        Returns:
            A ``Grant``, or a ``Denial`` when there were too many in a window.

        Raises:
            RateLimited: when what it may have in its life is used up.
        """

    async def expect(caller, counters, grant, tokens):
        """Count an admitted request anew, now that it is known how many tokens it may take; return as ``admit``."""

    def over(caller, counters, grant, record, tokens):
        """A request that was admitted has ended; it took ``tokens``, and ``record`` tells the rest."""


class ICaller(Interface):
    """A token and its project, as they are known now; stands in ``exchange.holder``."""

    id = Attribute("str: the token's id.")
    masked = Attribute("str: what is shown of the token.")
    project = Attribute("str: the project's id.")
    metadata = Attribute("Mapping of lowercase names to what ``X-PROXY-<NAME>`` has to say.")
    counts_tokens = Attribute("bool: whether it, or its project, may take so many tokens only.")

    def check(wall_s):
        """Raise ``Unauthenticated`` or ``Forbidden`` unless it is let in at a Unix time."""

    def check_model(model):
        """Raise ``Forbidden``, ``model_not_allowed``, unless it may ask for a model by that name; None for none."""

    def told():
        """Return the header fields that tell the caller how long its token lives, and what its life has left."""

    def key(provider):
        """Return the project's key for a provider, of several in turn; raise ``Forbidden`` when it has none."""


class IResponsePhase(Interface):
    """A filter that sees the answer's head before it is committed."""

    async def on_response(exchange, head):
        """Return None, or a ``ResponseHead`` to be sent instead; or raise an ``ExchangeError``."""


class IEventPhase(Interface):
    """A filter that sees every block event of the answer. Hot path; turns the untouched lane off.

    Error answers and raw routes hold no events. What cannot be read as events is refused while such a filter is
    configured: nothing goes past it.
    """

    hold_back_bytes = Attribute("int: the most text of one choice, in UTF-8, that ``on_end`` may return.")
    hold_back_s = Attribute("float: the longest it means to hold anything back; declared, not enforced.")

    def on_event(exchange, event):
        """Return the event, another, None to drop it, or a sequence of events."""

    def on_end(exchange):
        """Return the events still held back, as a list or tuple.

        Called once, when every text has been seen and before any ``Finish``: those wait for the end of the answer.
        """


class IFinishPhase(Interface):
    """A filter that hears how the exchange ended."""

    def on_finish(exchange, outcome):
        """Called exactly once, whatever happened, with an ``Outcome``; plain and quick."""


class ILogSink(Interface):
    """Writes records down, outside the request.

    Each sink has a cursor of its own in the journal, which moves on when ``write`` has returned: a record is handed
    over at least once, in the order in which exchanges ended. One that raises, or takes long, is asked again with
    growing pauses, and falls behind for itself alone.
    """

    async def write(records):
        """Make a sequence of ``Record`` safe; returning means done.

        May be called again with the same, after a crash also with records that were written: idempotent by ``id``.

        Returns:
            None, or a mark: a short text that is kept with the cursor and handed to ``resume`` at the next start.
        """


class ITraces(Interface):
    """A sink that wants to know the place of each exchange in a trace; optional beside ``ILogSink``.

    It is not asked for anything while a request is served: what it says here is read once, at the start, and records
    then have a ``trace``. Of several such sinks the first one counts.
    """

    share = Attribute("float: the share of traces to be kept, 0 to 1, of those that begin here.")
    follows = Attribute("bool: whether a caller's trace is gone on with, and its decision whether it is kept.")


class IResumes(Interface):
    """A sink that wants to know where it left off; optional."""

    def resume(mark):
        """Called once after ``start`` and before the first ``write``.

        Args:
            mark: What the last ``write`` returned whose cursor is safe, or else ``resume``; None when there is none.
                Records written after it will be handed over again.

        Returns:
            The mark of where it is now, which is safe before the first ``write``; None leaves ``mark`` as it is.
        """


class ILiveSink(Interface):
    """A sink that also wants exchanges while they flow; optional beside ``ILogSink``."""

    def watch(record):
        """Return an ``IWatcher`` for an exchange that is about to call its provider, or None.

        Args:
            record: What is known of it by now, its outcome not among it.
        """


class IWatcher(Interface):
    """Hears one exchange while it flows. Hot path: must not block, must not raise, must bound what it keeps."""

    def message(direction, head):
        """A message begins: ``direction`` is ``"request"`` or ``"response"``, ``head`` a ``MessageHead``."""

    def piece(direction, data):
        """The next bytes of the message's body, framing removed; redacted as the journal's copy is."""

    def ended(record):
        """The exchange has ended; nothing follows. ``record`` is the whole ``Record``."""


class ICopies(Interface):
    """Reads what the journal keeps of messages. Plain reads of local files, a piece at a time."""

    def head(copy):
        """Return the ``MessageHead`` of a ``Copy``; raise ``Expired`` when the journal no longer has it."""

    def pieces(copy):
        """Return an iterator over the body in pieces of at most 64 KiB.

        Raises:
            Expired: at any piece, when the journal no longer has it.
        """


class ILogs(Interface):
    """Finds records again; newest first. The store, or the journal itself where nothing is stored."""

    async def page(query, limit):
        """Return up to ``limit`` records that match a ``netrunner.query.Query``, as ``Found``; ``nearest`` says which.

        A page looks at a bounded number of records: it may hold fewer though more match, and then says so.
        """

    async def one(id):
        """Return the ``Record`` of that id, or None."""

    async def count(query):
        """Return how many records match."""

    async def stats(now_s):
        """Return the ``netrunner.figures.Stats`` of all records, at the Unix time ``now_s``."""


class ILogStore(ILogs):
    """The configured database, as a place for records."""

    async def add(records):
        """Store records, each once by its id, all or none of a call; returning means committed.

        Raises:
            StoreError: when the database does not take them; the same may be added again.
        """

    async def forget(before_s, vacuum=True):
        """Delete records accepted before a Unix time, and give the space back if ``vacuum``; return how many."""
