"""The kit for plugin authors: scripted provider, fakes of what a plugin is handed, conformance checks.

``fakes``
    a clock, an environment and a receiver to hand to a plugin.
``section``
    a section of the configuration made from a dict.
``scripted``, ``script``
    a real TCP server that answers byte for byte as it is told, and what to tell it.
``conformance``
    what every provider has to keep to, as a list of findings.
``dialogue``
    the same for providers that answer in this process.

It is shipped, and used by netrunner's own tests.
"""
