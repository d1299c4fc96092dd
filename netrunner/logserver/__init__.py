"""The logging server: a daemon of its own that keeps what proxies send it, byte for byte."""
