"""Anthropic's dialect: Messages, in both versions that are alive."""
