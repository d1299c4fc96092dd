"""``netrunner bench``: load for a proxy or a provider, and what came of it.

``settings`` says what to do, ``templates``, ``targets`` and ``requests`` what is sent, ``schedule`` when; ``load``
sends it, ``probe`` reads an answer, ``tally`` and ``histogram`` count, ``report`` and ``compare`` tell. Only ``load``,
``probe`` and ``run`` know of time.
"""
