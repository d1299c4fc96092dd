"""What is counted so that it can be limited: windows, tokens, requests at once, gaps; here or in Redis."""
