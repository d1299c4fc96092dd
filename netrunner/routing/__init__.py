"""Names to candidates, without I/O."""
