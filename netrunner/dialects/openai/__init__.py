"""OpenAI's dialect: chat completions, completions, embeddings, and whatever speaks like them."""
