"""netrunner: a firewall and proxy for AI models."""

__version__ = "0.1.0"
