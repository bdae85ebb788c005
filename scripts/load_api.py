"""Many clients at once against `jaxcolor serve` on this machine: is every answer right, and when.

python scripts/load_api.py                 # 32 clients, 500 requests of mixed sizes, a tenth bad
python scripts/load_api.py --against-one --requests 120    # at once against one at a time

A server is started for it on a free port of 127.0.0.1 and stopped again. Every photo that comes
back is compared with what the library makes of it, byte for byte; every bad request has the status
that it must have. The exit code is 1 if anything differs.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import io
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import httpx
import numpy as np
from PIL import Image

import jaxcolor
from jaxcolor import image_io
from jaxcolor.web.settings import Settings

_SIZES = ((160, 120), (320, 240), (480, 640), (800, 600), (1024, 768), (1600, 1200))
_FORMATS = ("JPEG", "PNG", "WEBP")
_OPTIONS: tuple[dict[str, Any], ...] = ({}, {"saturation": 1.3}, {"refine": 0.5, "format": "png"})
_ROUNDS = 3  # of either kind, when they are compared
_GOOD = 200


@dataclasses.dataclass(frozen=True)
class Request:
    """What is sent, and what must come back.

    Attributes:
      content: the body.
      options: the query.
      status: of the answer.
      result: its body, where the status is 200.
    """

    content: bytes
    options: Mapping[str, Any]
    status: int
    result: bytes = b""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
      seconds: from the sending of its request until it was there.
      status: of HTTP; 0 where nothing came.
      wrong: what is not as it must be.
    """

    seconds: float
    status: int
    wrong: str


@dataclasses.dataclass
class Outcome:
    """What a run brought.

    Attributes:
      seconds: from the first request to the last answer.
      answers: one for each request.
      memory: the server's resident bytes, from time to time.
    """

    seconds: float = 0.0
    answers: list[Answer] = dataclasses.field(default_factory=list)
    memory: list[float] = dataclasses.field(default_factory=list)

    @property
    def statuses(self) -> collections.Counter[int]:
        """How many answers had which."""
        return collections.Counter(answer.status for answer in self.answers)

    @property
    def wrong(self) -> list[str]:
        """What is wrong with which answers."""
        return [answer.wrong for answer in self.answers if answer.wrong]

    @property
    def latencies(self) -> list[float]:
        """Of photos that came back, in seconds."""
        return [answer.seconds for answer in self.answers if answer.status == _GOOD]

    def growth(self) -> float:
        """How much more memory the fourth quarter of the run took than the third."""
        quarter = max(1, len(self.memory) // 4)
        third, fourth = self.memory[-2 * quarter : -quarter], self.memory[-quarter:]
        return statistics.median(fourth) / statistics.median(third) - 1

    def percentile(self, share: float) -> float:
        """Of the latencies."""
        return float(np.quantile(self.latencies, share))


# -- what is sent ----------------------------------------------------------------------------------


def good_requests(
    params: jaxcolor.Params, count: int, batch: int = Settings.batch
) -> list[Request]:
    """Different photos and options, with what the library makes of them."""
    return [_good(params, i, batch) for i in range(count)]


def bad_requests() -> list[Request]:
    """Of each kind of refusal that does not depend on what else goes on."""
    photo = _photo(0)
    huge = io.BytesIO()
    Image.new("1", (40_000, 40_000)).save(huge, "PNG")  # 1.6 gigapixels in some kilobytes
    return [
        Request(b"this is no photo at all", {}, 415),
        Request(b"", {}, 415),
        Request(photo[: len(photo) // 2], {}, 422),
        Request(photo, {"saturation": "much"}, 422),
        Request(photo, {"model": "nothing"}, 422),
        Request(huge.getvalue(), {}, 413),
    ]


def mixed(good: Sequence[Request], bad: Sequence[Request], count: int) -> list[Request]:
    """So many requests in an order without order, a tenth of them bad."""
    chance = random.Random(8)
    plan = [good[i % len(good)] for i in range(count - count // 10)]
    plan += [bad[i % len(bad)] for i in range(count // 10)]
    chance.shuffle(plan)
    return plan


def _good(params: jaxcolor.Params, i: int, batch: int) -> Request:
    options = _OPTIONS[i % len(_OPTIONS)]
    content = _photo(i)
    photo = image_io.open_photo(io.BytesIO(content))
    controls = {key: value for key, value in options.items() if key != "format"}
    (rgb,) = jaxcolor.colorize_batch(params, [photo.pixels], batch_size=batch, **controls)
    file = io.BytesIO()
    image_io.save_photo(file, photo, rgb, format=options.get("format"))
    return Request(content, options, _GOOD, file.getvalue())


@functools.cache
def _photo(i: int) -> bytes:
    """A grey photo that no other number has: soft shapes, and some grain."""
    width, height = _SIZES[i % len(_SIZES)]
    rng = np.random.default_rng(i)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12), np.uint8))
    soft = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    pixels = (soft + rng.normal(0, 4, soft.shape)).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, _FORMATS[i % len(_FORMATS)], quality=90)
    return file.getvalue()


# -- sending ---------------------------------------------------------------------------------------


def send_all(url: str, plan: Sequence[Request], clients: int) -> Outcome:
    """Sends the requests from so many clients at once, each one after the other."""
    outcome, lock, waiting = Outcome(), threading.Lock(), iter(plan)
    ended = threading.Event()

    def client() -> None:
        with httpx.Client(base_url=url, timeout=300) as connection:
            while True:
                with lock:
                    request = next(waiting, None)
                if request is None:
                    return
                sent = time.monotonic()
                status, wrong = _send(connection, request)
                outcome.answers.append(Answer(time.monotonic() - sent, status, wrong))

    def watch() -> None:
        with httpx.Client(base_url=url, timeout=300) as connection:
            while not ended.wait(0.5):
                with contextlib.suppress(httpx.HTTPError):  # a server that is being stopped
                    outcome.memory.append(figures(connection)["process_resident_memory_bytes"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        ends = [pool.submit(client) for _ in range(clients)]
    outcome.seconds = time.perf_counter() - start
    ended.set()
    watcher.join()
    for end in ends:
        end.result()
    return outcome


def figures(connection: httpx.Client) -> dict[str, float]:
    """What the server tells of itself: values of its metrics, by name with labels."""
    lines = connection.get("/metrics").text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def _send(connection: httpx.Client, request: Request) -> tuple[int, str]:
    """The status, 0 where there was no answer; and what is wrong with the answer."""
    try:
        answer = connection.post(
            "/v1/colorize", params=dict(request.options), content=request.content
        )
    except httpx.HTTPError as error:
        return 0, f"no answer: {error!r}"
    if answer.status_code != request.status:
        return answer.status_code, f"{answer.status_code} for {request.status}: {answer.text[:200]}"
    if request.status != _GOOD:
        told = answer.headers["content-type"] == "application/problem+json"
        told = told and bool(answer.json()["detail"])
        return answer.status_code, "" if told else f"no reason: {answer.text[:200]}"
    if answer.content != request.result:
        return answer.status_code, f"another photo than {request.options} gives"
    return answer.status_code, ""


@contextlib.contextmanager
def served(
    *options: str, program: Sequence[str] = ("-m", "jaxcolor")
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server of its own on this machine, ready; stopped at the end.

    Args:
      options: of `jaxcolor serve`.
      program: what Python runs as `jaxcolor`.
    """
    command = [sys.executable, *program, "serve", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if " at http://" not in line:
                raise click.ClickException(f"the server did not start: {line!r}")
            url = line.split(" at ")[1].split()[0]
            wait_until_ready(url)
            yield url, process
        finally:
            process.terminate()


def wait_until_ready(url: str, seconds: float = 600) -> None:
    """Returns when the server has loaded and compiled everything; only a hang takes so long."""
    latest = time.monotonic() + seconds
    while httpx.get(f"{url}healthz").status_code != _GOOD:
        if time.monotonic() > latest:
            raise click.ClickException(f"{url}: not ready after {seconds:g} seconds")
        time.sleep(0.2)


# -- the command -----------------------------------------------------------------------------------


@click.command()
@click.option("--requests", default=500, show_default=True, help="Of which a tenth is bad.")
@click.option("--clients", default=32, show_default=True, help="At once.")
@click.option(
    "--against-one", is_flag=True, help="Compare with the same requests one at a time instead."
)
@click.option("--batch", default=Settings.batch, show_default=True, help="As `serve` takes it.")
def main(requests: int, clients: int, against_one: bool, batch: int) -> None:
    """Measure and check the API of `jaxcolor serve` under load."""
    good = good_requests(jaxcolor.load(), 18, batch)
    with served("--weights", jaxcolor.available_models()[0], "--batch", str(batch)) as (url, _):
        send_all(url, good, 1)  # the first requests after the start are slower
        if against_one:
            wrong = _compare(url, [good[i % len(good)] for i in range(requests)], clients)
        else:
            wrong = _load(url, mixed(good, bad_requests(), requests), clients)
    for line in wrong[:20]:
        click.echo(f"wrong: {line}", err=True)
    sys.exit(1 if wrong else 0)


def _load(url: str, plan: Sequence[Request], clients: int) -> list[str]:
    outcome = send_all(url, plan, clients)
    statuses = ", ".join(
        f"{count} of {status}" for status, count in sorted(outcome.statuses.items())
    )
    click.echo(
        f"{len(plan)} requests, {clients} clients, {outcome.seconds:.1f} s: {statuses};"
        f" {len(outcome.wrong)} wrong"
    )
    click.echo(
        f"photos: {len(outcome.latencies) / outcome.seconds:.2f} a second; median"
        f" {outcome.percentile(0.5):.2f} s, p95 {outcome.percentile(0.95):.2f} s"
    )
    click.echo(
        f"memory: at most {max(outcome.memory) / 2**20:.0f} MiB; fourth quarter against third"
        f" {outcome.growth():+.1%}"
    )
    return outcome.wrong


def _compare(url: str, plan: Sequence[Request], clients: int) -> list[str]:
    """In turn, so that a slower minute of the machine meets both."""
    wrong: list[str] = []
    rates: dict[int, list[float]] = {1: [], clients: []}
    for _ in range(_ROUNDS):
        for count, measured in rates.items():
            outcome = send_all(url, plan, count)
            wrong += outcome.wrong
            measured.append(len(plan) / outcome.seconds)
    one, many = (statistics.median(measured) for measured in rates.values())
    click.echo(
        f"{len(plan)} photos, median of {_ROUNDS}: {many:.2f} a second with {clients} clients,"
        f" {one:.2f} one at a time (ratio {many / one:.2f})"
    )
    return wrong


if __name__ == "__main__":
    main()
