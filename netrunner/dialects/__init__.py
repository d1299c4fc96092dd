"""One package per dialect: pure codecs for requests, answers, errors and streams."""
