"""Packets of photos -> Ray Data's workers -> what became of each.

Ray Data hands the packets out, one after the other as workers have room, starts workers where the
cluster has it, and gives a lost worker's packets to others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from jaxcolor.archive.ledger import Ledger, Past
from jaxcolor.archive.plan import packets
from jaxcolor.archive.report import Line
from jaxcolor.archive.worker import Order, Worker

_STORE = 80 << 20  # bytes of Ray's object store on this machine, about its least
_START = 300  # seconds for Ray to start: 30, Ray's own, are too few on a busy machine
_AHEAD = 2  # packets that a worker has at once, so that its network never waits for photos
_NOT_STARTED = re.compile(r"NotStarted: (.*)")


class RunError(Exception):
    """Why the run ended before its time; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Where the work is done.

    Attributes:
      address: of a Ray cluster, as `ray.init` takes it. None: one of this machine, for this run.
      workers: at most so many. None: as many as have room when the run begins.
      cores: of each worker. None: all of this machine's, or of a cluster one.
      gpus: of each worker; a part of one is possible. None: one, where there are any.
    """

    address: str | None = None
    workers: int | None = None
    cores: int | None = None
    gpus: float | None = None


@contextlib.contextmanager
def started(cluster: Cluster) -> Iterator[None]:
    """Ray, as long as it is needed.

    Raises:
      RunError: it cannot be started, or not be found.
    """
    # What Ray says on the way is not for who waits for photos; what ends the run is raised.
    logging.disable(logging.CRITICAL)
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    temporary = None
    options: dict[str, Any] = {"address": cluster.address}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if cluster.address is None:
        temporary = tempfile.mkdtemp(prefix="jaxcolor-")
        os.environ |= {
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's name for: this machine alone
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_raylet_start_wait_time_s": str(_START),
        }
        options = {
            "address": "local",
            "include_dashboard": False,
            "object_store_memory": _STORE,
            "_temp_dir": temporary,
        }
    else:
        # Ray asks twenty times, for half a minute each, of what does not answer.
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")
    import ray

    try:
        try:
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray raises whatever comes
            found = "started" if cluster.address is None else "reached"
            raise RunError(f"Ray cannot be {found} ({_in_a_line(error)})") from None
        yield
    finally:
        ray.shutdown()
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


class Run:
    """The workers on the packets of a file; to be used within `started`."""

    def __init__(self, left: Path, order: Order, cluster: Cluster):
        """Prepares a run.

        Args:
          left: a file of `plan`.
          order: what is asked of the photos, but for the cores of a worker.
          cluster: where the work is done.
        """
        import ray

        self._left = left
        # What reads this machine's files, and what must not be lost, stays on it.
        self._here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        self._ledger = ray.remote(num_cpus=0, label_selector=self._here)(Ledger).remote()
        resources = ray.cluster_resources()
        self._cores = cluster.cores or (1 if cluster.address else int(resources.get("CPU", 1)))
        found = resources.get("GPU", 0)
        self._gpus = min(1.0, found) if cluster.gpus is None else cluster.gpus
        self._order = dataclasses.replace(order, cores=self._cores)
        fitting = int(resources.get("CPU", 0) // self._cores)
        if self._gpus:
            fitting = min(fitting, int(found / self._gpus))
        self._most = cluster.workers or max(1, fitting)
        self._first = max(1, min(self._most, fitting))

    def lines(self) -> Generator[list[Line], None, None]:
        """What becomes of each photo, a packet at a time, in no order.

        Raises:
          RunError: no worker can do anything, or Ray has given up.
        """
        import ray.data
        import ray.exceptions

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = 1  # each packet is a block, and each block one task
        # Where a machine cannot have workers others may.
        context.max_consecutive_actor_init_deaths = min(8, self._most) - 1
        dataset = ray.data.read_datasource(
            _datasource(self._left),
            override_num_blocks=1,
            num_cpus=0,
            label_selector=self._here,
        ).map_batches(
            _RayWorker,
            fn_constructor_kwargs={"order": self._order, "ledger": self._ledger},
            batch_size=None,
            batch_format="pyarrow",
            zero_copy_batch=True,
            num_cpus=self._cores,
            num_gpus=self._gpus or None,
            compute=ray.data.ActorPoolStrategy(
                min_size=1,
                initial_size=self._first,
                max_size=self._most,
                max_tasks_in_flight_per_actor=2 * _AHEAD,
                max_concurrent_calls_per_actor=_AHEAD,
                enable_true_multi_threading=True,
            ),
        )
        try:
            for table in dataset.iter_batches(
                batch_size=None, batch_format="pyarrow", prefetch_batches=0
            ):
                for packet in table["lines"]:
                    yield [_line(row) for row in packet.as_py()]
        except (ray.exceptions.RayError, RuntimeError, ValueError) as error:
            raise RunError(_in_a_line(error)) from None

    def deaths(self) -> int:
        """How often workers have left work undone."""
        import ray

        return ray.get(self._ledger.deaths.remote())


class _RayWorker:
    """A `Worker`, as an actor of Ray Data."""

    def __init__(self, order: Order, ledger: Any):
        import ray

        name = f"{ray.util.get_node_ip_address()}:{os.getpid()}"
        self._worker = Worker(order, _RayBooks(ledger), name)

    def __call__(self, table: pa.Table) -> pa.Table:
        return self._worker(table)


class _RayBooks:
    """The ledger, which is an actor on the machine where the run was begun."""

    def __init__(self, ledger: Any):
        self._ledger = ledger

    def begin(self, piece: str) -> Past:
        return self._asked("begin", piece)

    def overdue(self, piece: str) -> None:
        self._asked("overdue", piece)

    def end(self, piece: str) -> None:
        self._asked("end", piece)

    def _asked(self, what: str, piece: str) -> Any:
        import ray

        return ray.get(getattr(self._ledger, what).remote(piece))


def _datasource(left: Path) -> Any:
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    class Packets(Datasource):
        """One task on the machine where the file is, which is never ahead by more than asked."""

        def get_read_tasks(self, *_: Any, **__: Any) -> list[ReadTask]:
            metadata = BlockMetadata(
                num_rows=None, size_bytes=None, exec_stats=None, input_files=None
            )
            return [ReadTask(functools.partial(packets, left), metadata)]

        def estimate_inmemory_data_size(self) -> int | None:
            return None

    return Packets()


def _line(row: dict[str, Any]) -> Line:
    return Line(**row | {"warnings": tuple(row["warnings"])})


def _in_a_line(error: BaseException) -> str:
    """Of an error of Ray, which comes with the traceback of another process, what is to be said."""
    text = str(error)
    if match := _NOT_STARTED.search(text):
        return match[1]
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
