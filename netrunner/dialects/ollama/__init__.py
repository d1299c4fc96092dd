"""Ollama's own dialect: chats, completions and embeddings below ``/api``, and the pages that its clients ask for."""
