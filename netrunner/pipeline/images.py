"""The path of a request for an image: where it names no model, every model for images in turn, until one has made it.

This module must not know how images are asked for.
"""

from __future__ import annotations

from netrunner.errors import BadRequest, ExchangeError, NotFound, Overloaded, RateLimited, UpstreamError
from netrunner.pipeline.run import Run
from netrunner.routing.table import Candidate
from netrunner.values import Outcome

NONE_LEFT = "model_selection_error"
_PASSED_OVER = (BadRequest, NotFound, RateLimited, UpstreamError)
"""What one model may refuse and another do: it is limited, has nothing of the kind, or cannot do what is asked."""


class ImageRun(Run):
    """Takes one request for an image along the path.

    An answer goes to the caller when the image is whole, so that a model that fails has shown nothing of it before.
    """

    def _route(self) -> tuple[Candidate, ...]:
        if self._exchange.model is not None:
            return super()._route()
        images = self._pipeline.table.images
        if not images:
            raise Overloaded("No model for images is configured: none says `images: true`.", code=NONE_LEFT)
        self._tries.insists = True
        return images

    async def _attempt(self) -> None:
        """Try the next candidate, and the one after it where that cannot be asked."""
        while True:
            try:
                await super()._attempt()
            except ExchangeError as error:
                exchange = self._exchange
                if exchange.model is not None or exchange.outcome is not None or not self._is_passed_over(error):
                    raise
                exchange.let_go()
                if not self._tries.pass_over():
                    self.fail(_unserved(error), Outcome.UPSTREAM_FAILED if exchange.attempts else Outcome.REFUSED)
                    return
            else:
                return

    def last(self, error: UpstreamError) -> UpstreamError:
        """Return what the caller is told of the attempt that was the last."""
        return error if self._exchange.model is not None else _unserved(error)

    def _is_passed_over(self, error: ExchangeError) -> bool:
        """Return whether another model may do what failed here; a request that cannot be read is nobody's to serve."""
        return isinstance(error, _PASSED_OVER) and not (isinstance(error, BadRequest) and self._translation is None)


def _unserved(last: ExchangeError) -> UpstreamError:
    """Return the error for the caller whom no model has served."""
    return UpstreamError(
        f"No model for images could answer; the last of them: {last.message}",
        code=NONE_LEFT,
        status=503,
        retry_after_s=last.retry_after_s,
    )
