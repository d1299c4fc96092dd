"""The kit for plugin authors: scripted provider, fake consumer, conformance checks."""
