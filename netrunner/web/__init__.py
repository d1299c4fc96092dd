"""The Resource tree: model routes, raw routes, lists, health."""
