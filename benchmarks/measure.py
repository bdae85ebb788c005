"""Paired, alternating runs, their medians and ratios; a table, and JSON.

Each side of a comparison is a process of its own, as a user has it: whole processes that are
timed from outside, or workers that are made ready and then asked for one run at a time. The sides
take turns, so that whatever else the machine does meets all of them alike; seconds of a processor
are told beside those of the clock, for a machine that does other things too.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

ROOT = Path(__file__).parents[1]


class Run(NamedTuple):
    """What one run took.

    Attributes:
      seconds: of the clock.
      processor: seconds of all processors together.
      megabytes: its peak of memory; 0 where that is not measured.
    """

    seconds: float
    processor: float
    megabytes: float = 0.0


@dataclasses.dataclass
class Row:
    """One side of one comparison.

    Attributes:
      work: what was done.
      side: by whom; the first side of a work is ours.
      seconds: of each run.
      processor: of each run, seconds of all processors together.
      gflop: multiplications and additions in a run, in thousands of millions, if that is known.
      megabytes: each run's peak of memory, if that was measured.
      note: anything else.
    """

    work: str
    side: str
    seconds: list[float] = dataclasses.field(default_factory=list)
    gflop: float | None = None
    megabytes: list[float] = dataclasses.field(default_factory=list)
    note: str = ""
    processor: list[float] = dataclasses.field(default_factory=list)

    def add(self, run: Run) -> None:
        """One more run."""
        self.seconds.append(run.seconds)
        self.processor.append(run.processor)
        if run.megabytes:
            self.megabytes.append(run.megabytes)

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)


class Worker:
    """A process that does one piece of work when it is asked to (`serve` is its other end)."""

    def __init__(self, module: str, *arguments: str, **environment: str):
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}", *arguments],
            env=quiet_environment(**environment),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if not os.environ.get("BENCHMARK_STDERR") else None,
            text=True,
        )
        self.gflop: float | None = self._answer()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate()

    def run(self) -> Run:
        """One more run."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Run(*self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout
        while line := self._process.stdout.readline():
            if line.startswith("benchmark: "):
                return json.loads(line.removeprefix("benchmark: "))
        said = (self._process.stderr.read() if self._process.stderr else "").strip()
        raise click.ClickException(f"{' '.join(map(str, self._process.args))}: {said[-2000:]}")  # type: ignore[arg-type]


def serve(work: Callable[[], Any], gflop: float | None = None) -> None:
    """Does the work twice, says that it is ready, then once more for each line that comes in."""
    for _ in range(2):
        work()
    print("benchmark:", json.dumps(gflop), flush=True)
    for _ in sys.stdin:
        start, before = time.perf_counter(), time.process_time()
        work()
        taken = time.perf_counter() - start, time.process_time() - before
        print("benchmark:", json.dumps(taken), flush=True)


def alternate(work: str, sides: Mapping[str, Callable[[], Worker]], repeats: int) -> list[Row]:
    """One row for each side, from workers that take turns."""
    workers = {name: make() for name, make in sides.items()}
    rows = {name: Row(work, name, gflop=worker.gflop) for name, worker in workers.items()}
    try:
        for _ in range(repeats):
            for name, worker in workers.items():
                rows[name].add(worker.run())
    finally:
        for worker in workers.values():
            worker.__exit__()
    return list(rows.values())


def whole_processes(
    work: str, commands: Mapping[str, Callable[[], Sequence[str]]], repeats: int
) -> list[Row]:
    """One row for each side, from processes that take turns: their time and peak of memory."""
    rows = {name: Row(work, name) for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            rows[name].add(whole_process(command()))
    return list(rows.values())


def whole_process(command: Sequence[str], **environment: str) -> Run:
    """One process from its start to its end."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=quiet_environment(**environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)  # Popen's own wait does not tell of the memory
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)}: {said.decode(errors='replace')[-2000:]}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)


def quiet_environment(**more: str) -> dict[str, str]:
    """The environment of a process that prints nothing of its own."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **more}


def ceiling() -> float:
    """GFLOP/s of a 4096^3 matrix product in float32: the most that anything here could reach."""
    import jax
    import jax.numpy as jnp

    side = 4096
    matrix = jnp.ones((side, side))
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(matrix, matrix))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(product(matrix, matrix))
        times.append(time.perf_counter() - start)
    return 2 * side**3 / statistics.median(times) / 1e9


def report(rows: Sequence[Row], file: Path | None, most: float | None = None) -> None:
    """Prints the rows as a table, and adds them to a JSON file.

    Args:
      rows: those of one work stand together, ours first.
      file: if not None; what it holds of other works stays.
      most: the ceiling in GFLOP/s, if the rows are to show their share of it.
    """
    if most:
        click.echo(f"matrix product: {most:.0f} GFLOP/s")
    head = (
        f"{'work':38} {'side':20} {'median':>9} {'least':>9} {'ours/':>6}"
        f" {'processor':>9} {'ours/':>6} {'GFLOP/s':>13} {'MB':>6}"
    )
    click.echo(head)
    ours: dict[str, Row] = {}
    table = []
    for row in rows:
        first = ours.setdefault(row.work, row)
        entry: dict[str, Any] = dataclasses.asdict(row)
        entry |= {"median": row.median, "ratio": first.median / row.median}
        cells = [f"{row.work:38} {row.side:20} {row.median:8.3f}s {min(row.seconds):8.3f}s"]
        cells.append(f"{'' if row is first else format(entry['ratio'], '.2f'):>6}")
        entry["processor_median"] = statistics.median(row.processor)
        entry["processor_ratio"] = statistics.median(first.processor) / entry["processor_median"]
        share = "" if row is first else format(entry["processor_ratio"], ".2f")
        cells.append(f"{entry['processor_median']:8.3f}s {share:>6}")
        rate = ""
        if row.gflop:
            entry["gflops"] = row.gflop / row.median
            share = f" ({entry['gflops'] / most:.0%})" if most else ""
            rate = f"{entry['gflops']:.0f}{share}"
        cells.append(f"{rate:>13}")
        memory = ""
        if row.megabytes:
            entry["megabytes_median"] = statistics.median(row.megabytes)
            entry["megabytes_ratio"] = (
                statistics.median(first.megabytes) / entry["megabytes_median"]
            )
            memory = f"{entry['megabytes_median']:.0f}"
        cells.append(f"{memory:>6} {row.note}")
        click.echo(" ".join(cells).rstrip())
        table.append(entry)
    if file is None:
        return
    held = json.loads(file.read_text()) if file.exists() else {"rows": []}
    works = {row.work for row in rows}
    held["rows"] = [entry for entry in held["rows"] if entry["work"] not in works] + table
    held |= {"matrix_product_gflops": most} if most else {}
    held["cores"] = os.cpu_count()
    file.write_text(json.dumps(held, indent=1) + "\n")
