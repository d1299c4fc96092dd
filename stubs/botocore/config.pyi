"""How a client of botocore behaves."""

from typing import Any

class Config:
    def __init__(
        self, *, connect_timeout: float = 60, read_timeout: float = 60, retries: dict[str, Any] | None = None
    ) -> None: ...
