"""`jaxcolor archive` beside `jaxcolor colorize`, on this machine: small photos, the same cores.

python scripts/benchmark_archive.py --photos 2000 --workers 2    # the default network
python scripts/benchmark_archive.py --photos 2000 --workers 2 --tiny
python scripts/benchmark_archive.py --there 100000     # nothing is left to do
python scripts/benchmark_archive.py --plan 1000000     # what is left of a manifest is worked out

Each side is a command of its own. What counts is processor time, of all processes that it starts,
from the first result to the last: the start of either is left out, and so is the end. On a machine
that does nothing else the clock says the same; on a busy one it says nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import resource
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import skimage.data
from PIL import Image

_ROOT = Path(__file__).parents[1]
_MARK = "JAXCOLOR_BENCHMARK"
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_EVERY = 0.3  # seconds


@dataclasses.dataclass
class Sample:
    """What a command has used at one moment.

    Attributes:
      clock: seconds.
      results: that are there.
      processors: seconds of all its processes.
      workers: bytes in memory of each of Ray's workers, by its process.
      store: bytes of Ray's object store that were ever touched.
    """

    clock: float
    results: int
    processors: float
    workers: dict[int, int]
    store: int


class Processes:
    """A command's processes, those that have left it, too."""

    def __init__(self, mark: str):
        self._mark = f"{_MARK}={mark}".encode()
        self._known: dict[tuple[int, str], float] = {}  # process and its start: seconds

    def sample(self) -> tuple[float, dict[int, int], int]:
        """Seconds of processors so far, each worker's bytes, and the object store's."""
        found: dict[int, tuple[int, tuple[int, str], float, int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    key = int(entry.name), fields[19]
                    seconds = (int(fields[11]) + int(fields[12])) / _TICK
                    found[key[0]] = int(fields[1]), key, seconds, int(fields[21]) * _PAGE
        ours = {pid for pid, (_, key, *_) in found.items() if key in self._known}
        for pid in sorted(found.keys() - ours):
            parent = found[pid][0]
            with contextlib.suppress(OSError):
                # Ray's workers write their titles over their environments.
                if parent in ours or self._mark in Path(f"/proc/{pid}/environ").read_bytes():
                    ours.add(pid)
        workers, store = {}, 0
        for pid in ours:
            _, key, seconds, memory = found[pid]
            self._known[key] = seconds
            with contextlib.suppress(OSError):
                title = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"MapBatches(_RayWorker)" in title:
                    workers[pid] = memory
                if b"raylet/raylet" in title:
                    store = max(store, _touched(pid))
        return sum(self._known.values()), workers, store


def _touched(raylet: int) -> int:
    """Bytes of its object store, which is a file without a name."""
    total = 0
    for link in Path(f"/proc/{raylet}/fd").iterdir():
        with contextlib.suppress(OSError):
            if "plasma" in str(link.readlink()):
                total += link.stat().st_blocks * 512
    return total


def measure(words: list[str], out: Path) -> list[Sample]:
    """Runs a command, and looks at it all the while."""
    mark = secrets.token_hex(8)
    processes = Processes(mark)
    samples = []
    # Ray's workers would give way to all other programs.
    environment = os.environ | {_MARK: mark, "RAY_worker_niceness": "0"}
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as run:
        while run.poll() is None:
            results = sum(path.name[0] != "." for path in out.iterdir())
            samples.append(Sample(time.monotonic(), results, *processes.sample()))
            time.sleep(_EVERY)
        assert run.stderr is not None
        said = run.stderr.read().decode()
    if run.returncode:
        sys.exit(said)
    return samples


def make_photos(folder: Path, count: int, width: int, height: int) -> None:
    """Small JPEGs, all of them different."""
    folder.mkdir()
    scenes = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()]
    rng = np.random.default_rng(0)
    for i in range(count):
        scene = Image.fromarray(scenes[i % len(scenes)]).convert("L")
        left, top = rng.uniform(0, 0.2, 2) * scene.size
        box = left, top, left + 0.8 * scene.width, top + 0.8 * scene.height
        scene.resize((width, height), box=box).save(folder / f"{i:05}.jpg", quality=90)


def told(name: str, samples: list[Sample], photos: int) -> tuple[float, float]:
    """Prints a side, and gives seconds of processors and of the clock."""
    first = next(s for s in samples if s.results)
    last = next((s for s in samples if s.results >= photos), samples[-1])
    share = photos / (photos - first.results)
    used = share * (last.processors - first.processors)
    clock = share * (last.clock - first.clock)
    print(
        f"{name:9} {used:7.1f} s of processors, {photos / used:.2f} photos a second and processor;"
        f" {clock:.1f} s by the clock; to the first result {first.processors:.1f} s of processors,"
        f" to the end {samples[-1].processors:.1f} s",
        flush=True,
    )
    return used, clock


def tell_memory(samples: list[Sample], photos: int) -> None:
    """Prints how much each worker has in memory, in quarters of the run."""
    for pid in sorted({pid for sample in samples for pid in sample.workers}):
        quarters = []
        for quarter in range(4):
            low, high = quarter * photos / 4, (quarter + 1) * photos / 4
            sizes = [
                s.workers[pid] for s in samples if pid in s.workers and low < s.results <= high
            ]
            quarters.append(f"{statistics.median(sizes) / 1e6:.0f}" if sizes else "-")
        peak = max(s.workers.get(pid, 0) for s in samples)
        print(f"worker: {', '.join(quarters)} MB in each quarter, {peak / 1e6:.0f} at the most")
    print(f"object store: {max(s.store for s in samples) / 1e6:.1f} MB ever touched")


_PLAN = """
import sys
from pathlib import Path
from jaxcolor.archive import names, plan, report
manifest, out, left = map(Path, sys.argv[1:])
plan.plan(names.names([manifest], avoided=out), out, None, left, report.Report(None))
"""


def tell_alone(what: str, words: list[str]) -> None:
    """Runs one process, and prints what it has used."""
    start = time.monotonic()
    subprocess.run([sys.executable, *words], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{what}: {used.ru_utime + used.ru_stime:.1f} s of processors,"
        f" {time.monotonic() - start:.1f} s by the clock, {used.ru_maxrss / 1000:.0f} MB"
    )


def tell_there(folder: Path, count: int) -> None:
    """Prints what a run costs that finds all its results there."""
    for top in ("scans", "out"):
        for i in range(count):
            path = folder / top / f"{i // 1000:03}" / f"{i:07}.jpg"
            if i % 1000 == 0:
                path.parent.mkdir(parents=True)
            path.touch()
    words = ["-m", "jaxcolor", "archive", str(folder / "scans"), "-o", str(folder / "out")]
    tell_alone(f"{count} results that are there", words)


def tell_plan(folder: Path, count: int) -> None:
    """Prints what it costs to work out what is left of a manifest."""
    manifest, out = folder / "manifest.csv", folder / "out"
    out.mkdir()
    with manifest.open("w") as file:
        file.write("address\n")
        file.writelines(f"s3://bucket/scans/{i // 1000:04}/{i:07}.jpg\n" for i in range(count))
    tell_alone(f"a plan of {count}", ["-c", _PLAN, str(manifest), str(out), str(folder / "left")])


def make_tiny(folder: Path) -> list[str]:
    """Options for a network of three layers, which all processes to come know."""
    tests = _ROOT / "tests"
    sys.path.insert(0, str(tests))
    tiny_network = importlib.import_module("tiny_network")

    from jaxcolor import weights
    from jaxcolor.models.colorizer import Params

    paths = (tests / "archive/plug", tests, _ROOT, os.environ.get("PYTHONPATH", ""))
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    weights.save_params(folder / "tiny.safetensors", Params(*tiny_network.make(16)))
    return ["--weights", str(folder / "tiny.safetensors")]


@click.command()
@click.option("--photos", default=2000, show_default=True)
@click.option("--width", default=480, show_default=True)
@click.option("--height", default=360, show_default=True)
@click.option("--workers", default=os.cpu_count() or 1, help="Of one core each.")
@click.option("--turns", default=1, show_default=True)
@click.option("--weights", help="As `jaxcolor colorize` takes them.")
@click.option("--tiny", is_flag=True, help="A network that costs nothing.")
@click.option("--there", type=int, help="How many results are there already.")
@click.option("--plan", type=int, help="How many rows a manifest has.")
def main(
    photos: int,
    width: int,
    height: int,
    workers: int,
    turns: int,
    weights: str | None,
    tiny: bool,
    there: int | None,
    plan: int | None,
) -> None:
    """Prints each side of each turn, and the ratios."""
    chosen = ["--weights", weights] if weights else []
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for count, tell in ((there, tell_there), (plan, tell_plan)):
            if count:
                tell(Path(folder), count)
                return
        if tiny:
            chosen = make_tiny(Path(folder))
        scans = Path(folder) / "scans"
        make_photos(scans, photos, width, height)
        sides = {
            "colorize": ["colorize", "-r", *chosen],
            "archive": ["archive", "--cores-per-worker", "1", "--workers", str(workers)],
        }
        sides["archive"] += chosen
        for _ in range(turns):
            used = {}
            for name, words in sides.items():
                out = Path(folder) / name
                out.mkdir()
                command = [sys.executable, "-m", "jaxcolor", *words, str(scans), "-o", str(out)]
                samples = measure(command, out)
                used[name] = told(name, samples, photos)
                if name == "archive":
                    tell_memory(samples, photos)
                shutil.rmtree(out)
            (ours, clock), (theirs, their_clock) = used["archive"], used["colorize"]
            ratios.append(ours / theirs)
            print(
                f"archive / colorize: {ratios[-1]:.3f} of processors, {clock / their_clock:.3f}"
                " by the clock",
                flush=True,
            )
    print(f"median of {turns}: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
