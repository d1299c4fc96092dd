"""HTTP/1.1 on llhttp: the server channel, the upstream pool, their limits and deadlines."""
