"""OpenAI's Responses API, as callers speak it and as providers do: ``POST responses``."""
