"""The path of an exchange: exchange, chain, relay, run."""
