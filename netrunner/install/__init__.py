"""The installer: makes netrunner a service of a machine, in versioned folders, and goes back when it does not serve.

It runs where nothing is installed yet, so that it imports Python's own library and nothing else. What it has to know of
a configuration, a database or a process it asks of the release that it installs, by the ``netrunner`` in it.
"""
