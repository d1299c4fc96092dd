"""The migrations, in their order; each names the one before it."""
