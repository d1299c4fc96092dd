"""A request for an image in neutral terms, for request filters.

This module must not judge what is asked.
"""

from __future__ import annotations

from netrunner.dialects.openai.view import OpenAIView
from netrunner.values import Message


class ImageView(OpenAIView):
    """A request for an image: its prompt is one turn of the user."""

    __slots__ = ()

    def messages(self) -> tuple[Message, ...]:
        """Return the prompt as one turn, by either of its names."""
        fields = self._document()
        prompts = [self._decode(name) for name in ("prompt", "inputs") if name in fields]
        return tuple(Message("user", prompt, prompt) for prompt in prompts if isinstance(prompt, str))

    def append_system(self, text: str) -> None:
        """Leave the prompt as it is: an instruction in it would be drawn."""
