"""What we use of txredisapi, which has no types of its own."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol

class RedisError(Exception): ...
class ResponseError(RedisError): ...

class RedisProtocol(Protocol):
    factory: Any
    def __init__(
        self,
        charset: str | None = ...,
        errors: str = ...,
        replyTimeout: float | None = ...,
        password: str | None = ...,
        dbid: int | None = ...,
        convertNumbers: bool = ...,
        username: str | None = ...,
    ) -> None: ...
    def whenConnected(self) -> Deferred[RedisProtocol]: ...
    def whenDisconnected(self) -> Deferred[RedisProtocol]: ...
    def execute_command(self, *args: object) -> Deferred[Any]: ...

class SubscriberProtocol(RedisProtocol):
    def messageReceived(self, pattern: str | None, channel: str, message: str) -> None: ...
