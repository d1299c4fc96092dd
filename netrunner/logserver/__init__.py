"""The logging server: a daemon of its own that keeps what proxies send it, byte for byte.

``PUT /{uuid}/request`` and ``PUT /{uuid}/response`` carry raw HTTP/1.1 messages while they flow: ``deposit`` takes
them, ``upload`` brings each to ``folder``, ``message`` reads their heads for ``metadata``, ``index`` finds them again
for ``api`` once ``reading`` has filled it. ``live`` tells what is arriving, ``tail`` reads along, and ``retention``
removes what is not to be kept.
"""
