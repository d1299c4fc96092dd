"""What processes tell each other that share a database: that something in it has changed."""
