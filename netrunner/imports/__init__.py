"""Other systems' configuration files, rewritten as netrunner's."""
