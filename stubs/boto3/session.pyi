"""What the sink ``cloudwatch`` uses of boto3's sessions."""

from typing import Any

from botocore.config import Config

class Session:
    def client(
        self,
        service_name: str,
        region_name: str | None = None,
        *,
        endpoint_url: str | None = None,
        config: Config | None = None,
    ) -> Any: ...
