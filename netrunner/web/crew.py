"""The metrics of several workers as one answer: every sample with the label ``worker``, the number of whose it is.

Sums are left to whoever reads them: a counter begins anew with its process, and only one that can be told from the
others may do so without looking like a jump.

This module must not know any metric by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from netrunner.web.neighbours import Neighbours

LABEL = "worker"


class Sample(msgspec.Struct):
    """One value."""

    name: str
    labels: dict[str, str]
    value: float


class Told(msgspec.Struct):
    """One family of one worker."""

    name: str
    type: str
    help: str
    samples: list[Sample]


class Page(msgspec.Struct):
    """Everything of one worker."""

    worker: str
    families: list[Told]


def page(worker: str, collector: Collector) -> Page:
    """Return what a worker tells the one that is asked for metrics."""
    return Page(worker, [_told(metric) for metric in collector.collect()])


def _told(metric: Metric) -> Told:
    samples = [Sample(one.name, one.labels, one.value) for one in metric.samples]
    return Told(metric.name, metric.type, metric.documentation, samples)


class Crew:
    """All workers of a daemon.

    Args:
        worker: The number of this one.
        neighbours: The others.
    """

    def __init__(self, worker: int, neighbours: Neighbours) -> None:
        self._worker = str(worker)
        self._neighbours = neighbours

    async def gather(self, collector: Collector) -> Pages:
        """Return the metrics of this worker, which ``collector`` has, and of the others."""
        others = [msgspec.convert(one, Page) for one in await self._neighbours.samples()]
        return Pages([page(self._worker, collector), *others])


class Pages(Collector):
    """What workers have told, family by family."""

    def __init__(self, pages: Iterable[Page]) -> None:
        self._pages = sorted(pages, key=lambda one: (len(one.worker), one.worker))

    def collect(self) -> Iterator[Metric]:
        """Yield each family once, with the samples of every worker."""
        families: dict[str, Metric] = {}
        for one in self._pages:
            for told in one.families:
                metric: Any = families.get(told.name)
                if metric is None:
                    metric = families[told.name] = Metric(told.name, told.help, told.type)
                for sample in told.samples:
                    metric.add_sample(sample.name, {**sample.labels, LABEL: one.worker}, sample.value)
        yield from families.values()
