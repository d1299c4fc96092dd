"""GigaChat's dialect, version 1: chats and embeddings; only providers speak it."""
