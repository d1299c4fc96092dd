"""What a relay costs: netrunner beside nginx doing the same job, measured in one run (``make bench``).

``parts`` measures; ``servers`` starts the relays and the upstreams; ``paced`` and ``streams`` are the two
ends of a paced stream; ``figures`` and ``report`` turn samples into the table. ``docs/performance.md`` says
how to read it.

Nothing here may be imported by ``netrunner``, and nothing here imports it, since the daemon is driven from outside;
but for ``redaction``, which measures that part by itself.
"""
