"""The dashboard: pages written on the server that show what went through netrunner and what goes through it now.

- ``figures``       what happened each minute of the last day, in memory
- ``recent``        the exchanges that ended last, before the log knows them
- ``lookout``       both of them, whatever configuration is in force
- ``charts``        figures as geometry
- ``rows``          one exchange as a row of a table
- ``conversation``  what a document of some API says: turns, answers, pieces of an answer
- ``messages``      recorded messages, read for showing
- ``form``          what a visitor asks the log for
- ``look``          templates, static files, and the fields that make hostile text harmless
- ``pages``         the resources, and their tree

This package must not let anybody in: every resource stands behind ``netrunner.web.gate``.
"""
