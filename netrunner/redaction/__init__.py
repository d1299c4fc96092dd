"""Redaction: what of a recorded body is hidden, and how it is found while the body passes."""
