"""What `/metrics` tells Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of one server: two servers in one process do not mix."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter(
            "jaxcolor_requests",
            "Requests of /v1/colorize by status; 499: the client went away.",
            ["status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "jaxcolor_request_seconds",
            "From a request's arrival to its answer, of those with status 200.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.stages = Histogram(
            "jaxcolor_stage_seconds",
            "A photo's decoding and encoding, and a batch's pass through the network.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch = Histogram(
            "jaxcolor_batch_photos",
            "Photos that went through the network together.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=registry,
        )
        for stage in ("decode", "network", "encode"):
            self.stages.labels(stage)
        self.requests.labels("200")

    def observe(self, stage: str, seconds: float, photos: int) -> None:
        """As the engine tells it."""
        self.stages.labels(stage).observe(seconds)
        if stage == "network":
            self.batch.observe(photos)

    def watch(self, name: str, help: str, value: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        Gauge(f"jaxcolor_{name}", help, registry=self.registry).set_function(value)
