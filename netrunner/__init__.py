"""netrunner: a firewall and proxy for AI models.

The way of a request, in the order of the code:

- ``http.channel``    bytes from the client, parsed by llhttp, become a ``http.request.Request`` at the end of the head
- ``web.tree``        a ``twisted.web`` Resource tree finds what serves its path
- ``web.proxy``       before any of the body is read: an ``Exchange`` is opened, filters look at the head (credentials)
- ``http.channel``    100 Continue, the body, within its limits
- ``web.proxy``       the dialect reads the body's envelope: the model's name, whether to stream
- ``pipeline.run``    the filters' request phase, then ``routing.table`` names the candidates; the provider builds the
                      request to its upstream, the model's name spliced into the body and every other byte as it came
- ``http.pool``       a warm connection carries it
- ``pipeline.relay``  holds the answer until it is committed, then passes bytes on, one write per read, with
                      back-pressure in both directions and a tap that reads usage in passing
- ``pipeline.recording`` takes both messages as they pass, for the journal and for whoever watches
- ``pipeline.exchange`` ends exactly once; ``journal.journal`` writes its record before anything leaves, and
                      ``journal.feeds`` hands it to the sinks

What varies is a plugin: providers, filters, sinks (``interfaces``), found by ``registry``. What a plugin may import is
``interfaces``, ``values``, ``events``, ``settings``, ``errors``, ``offers``, ``dialects``, ``sse`` and ``testing``; the
built-in ones keep to that too. ``service``, ``parts`` and ``bookkeeping`` wire everything, ``tap`` is twistd's door,
``cli`` the command line's, ``process`` holds what makes a daemon of it.

Imports run one way: tap, cli > service > web > pipeline > http, journal, store, registry, config, process > dialects >
sse, interfaces > values, errors, events, settings.
"""

__version__ = "0.1.0"
