"""YAML to a located tree to typed settings."""
