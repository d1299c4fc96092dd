"""Cohere's dialect, version 2: chats and embeddings; only providers speak it."""
