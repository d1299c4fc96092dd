"""How a database comes from one version to the next; each migration is written once and never changed."""
