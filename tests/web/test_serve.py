"""`jaxcolor serve` as a process: under load, in a browser, and at its end."""

from __future__ import annotations

import io
import json
import pickle
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import browsing
import httpx
import hypothesis
import hypothesis.strategies as st
import numpy as np
import page_as_such
import pytest
import schemathesis
from browsing import (
    drop,
    jpeg,
    load_api,
    picture,
    screenshots,
    served,
    tabs,
)
from page_as_such import *  # noqa: F403  # those of its tests that need no server
from patience import HANG, until
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import jaxcolor


@pytest.fixture(scope="module")
def url(tiny_file: Path) -> Iterator[str]:
    with served(str(tiny_file)) as (url, _):
        yield url


@pytest.fixture(scope="module")
def params(tiny_file: Path) -> jaxcolor.Params:
    return jaxcolor.load(str(tiny_file))


GOOD = """
import pickle
import sys
from pathlib import Path

sys.path[:0] = sys.argv[1:3]
import jaxcolor
import load_api
import tiny_network

good = load_api.good_requests(jaxcolor.load(sys.argv[3]), 6)
Path(sys.argv[4]).write_bytes(pickle.dumps(good))
"""


@pytest.fixture(scope="module")
def good(run, tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What the library makes of photos in a process that is compiled as the server is."""
    file = tmp_path_factory.mktemp("good") / "requests.pickle"
    done = run("-c", GOOD, browsing.TESTS, browsing.SCRIPTS, tiny_file, file)
    assert done.returncode == 0, done.stderr
    requests: list[Any] = pickle.loads(file.read_bytes())
    return requests


def coloured(url: str, content: bytes, **options: Any) -> httpx.Response:
    return httpx.post(f"{url}v1/colorize", params=options, content=content, timeout=HANG)


# -- the API ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_under_load_every_answer_is_right(url: str, good: list[Any]) -> None:
    """A short form of `python scripts/load_api.py`."""
    plan = load_api.mixed(good, load_api.bad_requests(), 80)
    outcome = load_api.send_all(url, plan, 16)
    assert outcome.wrong == []
    assert outcome.statuses.total() == 80
    assert outcome.statuses[200] == 72
    print(f"p95 {outcome.percentile(0.95):.2f} s")
    assert max(outcome.memory) < 2e9


def test_a_wrong_photo_would_be_noticed(url: str, good: list[Any]) -> None:
    swapped = load_api.Request(good[0].content, good[0].options, 200, good[1].result)
    assert load_api.send_all(url, [swapped], 1).wrong == ["another photo than {} gives"]


def test_one_photo_is_what_colorize_makes_of_it(
    url: str, params: jaxcolor.Params, photos: dict[str, np.ndarray]
) -> None:
    """Alone, the library takes a network of another shape: its last bits may differ."""
    file = io.BytesIO()
    Image.fromarray(photos["coffee"]).convert("L").save(file, "PNG")
    got = Image.open(io.BytesIO(coloured(url, file.getvalue()).content))
    expected = np.asarray(jaxcolor.colorize(params, Image.open(file))).astype(int)
    difference = np.abs(np.asarray(got) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


bodies = st.sampled_from([load_api._photo(i)[:cut] for i in range(3) for cut in (None, 200)])
for media_type in ("image/*", "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, bodies | st.binary(max_size=64))


@pytest.mark.slow
def test_answers_are_as_the_openapi_document_says(url: str) -> None:
    """Schemathesis: good and bad requests of every route; none is answered with a 500."""
    document = schemathesis.openapi.from_url(f"{url}openapi.json")
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) == 4
    for operation in operations:
        modes = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
        cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))

        @hypothesis.settings(
            max_examples=40 if operation.method == "post" else 5,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            database=None,
        )
        @hypothesis.given(case=cases)
        def check(case: Any) -> None:
            # An address of 64 KiB is no HTTP to uvicorn's parser: 400, in its own words.
            query = urllib.parse.urlencode(case.query or {}, doseq=True)
            hypothesis.assume(len(case.formatted_path) + len(query) < 60_000)
            # What bytes are a photo no schema can say: those that are none are refused.
            case.call_and_validate(
                timeout=HANG, excluded_checks=[schemathesis.checks.positive_data_acceptance]
            )

        check()


def test_three_gigabytes_are_not_decoded(url: str) -> None:
    content = page_as_such.huge_png()
    with httpx.Client(base_url=url) as client:
        before = load_api.figures(client)
        answer = coloured(url, content)
        assert (answer.status_code, answer.json()["code"]) == (413, "too-many-pixels")
        taken = {name: now - before.get(name, 0) for name, now in load_api.figures(client).items()}
        assert taken["process_cpu_seconds_total"] < 2
        assert taken["process_resident_memory_bytes"] < 1e8


# -- the page --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser") / "network.json"


@pytest.fixture(scope="module")
def chromium(network_log: Path) -> Iterator[Browser]:
    with browsing.chromium(f"--log-net-log={network_log}") as browser:
        yield browser


@pytest.fixture
def page(url: str, chromium: Browser) -> Iterator[Page]:
    with tabs(chromium, viewport={"width": 1000, "height": 800}) as made:
        page = made.new_page()
        page.goto(url)
        yield page


@pytest.fixture
def is_right(url: str) -> page_as_such.IsRight:
    def check(result: bytes, photo: bytes, saturation: float) -> None:
        assert result == coloured(url, photo, saturation=saturation).content

    return check


@pytest.fixture
def most() -> str:
    return "this server takes at most 250 million"


def test_transparency_and_several_pictures_in_a_file(page: Page) -> None:
    frames = [Image.linear_gradient("L").rotate(90 * i) for i in range(2)]
    moving, clear = io.BytesIO(), io.BytesIO()
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
    Image.merge("LA", frames).save(clear, "PNG")
    for name, file in (("clear.png", clear), ("moving.gif", moving)):
        drop(page, {"name": name, "mimeType": "", "buffer": file.getvalue()})
        screenshots.wait_until_done(page)
    first = picture(page)
    page.fill("#frame", "2")
    with page.expect_response(lambda response: "frame=1" in response.url):
        page.keyboard.press("Enter")
    screenshots.wait_until_done(page)
    assert np.abs(picture(page).astype(int) - first).mean() > 10
    assert page.locator("#refusals li").count() == 0


def test_two_tabs_at_once(url: str, chromium: Browser) -> None:
    names = ["left.jpg", "right.jpg"]
    with tabs(chromium) as context:
        both = [context.new_page() for _ in names]
        for tab in both:
            tab.goto(url)
        for i, (tab, name) in enumerate(zip(both, names, strict=True)):
            drop(tab, jpeg(name, 260 + 20 * i))
        for i, (tab, name) in enumerate(zip(both, names, strict=True)):
            screenshots.wait_until_done(tab)
            expect(tab.locator("#name")).to_have_text(name)
            size = tab.locator("#colour").evaluate("image => image.naturalWidth")
            assert size == 260 + 20 * i


@pytest.mark.slow
def test_no_request_leaves_the_machine(url: str, chromium: Browser, network_log: Path) -> None:
    """The last with the browser: its log of all that it did is whole when it has ended."""
    chromium.close()
    log = json.loads(network_log.read_text())
    kinds = {number: name for name, number in log["constants"]["logEventTypes"].items()}
    starts = [e for e in log["events"] if kinds[e["type"]] == "URL_REQUEST_START_JOB"]
    jobs = [e["params"] for e in starts if "url" in e.get("params", {})]
    # What the browser itself asks for, for its own ends, has no page as its initiator.
    sent = {job["url"] for job in jobs if job.get("initiator", "not an origin") != "not an origin"}
    assert {f"{url}static/page.js", f"{url}v1/models"} < sent
    assert any(address.startswith(f"{url}v1/colorize") for address in sent)
    assert [address for address in sent if not address.startswith((url, f"blob:{url}"))] == []


# -- the process -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_sigterm_under_load_loses_nothing(good: list[Any], tiny_file: Path) -> None:
    """What was let in is answered with its photo; what comes later is told so, or the door."""
    plan = [good[i % len(good)] for i in range(300)]
    with served(str(tiny_file)) as (url, process):
        decoded = 0.0

        def in_the_middle() -> bool:
            nonlocal decoded
            with httpx.Client(base_url=url, timeout=HANG) as client:
                figures = load_api.figures(client)
            decoded = figures['jaxcolor_stage_seconds_count{stage="decode"}']
            answered = figures['jaxcolor_requests_total{status="200"}']
            return answered >= 8 and decoded >= answered + 2

        def stop() -> None:
            until(in_the_middle)
            process.send_signal(signal.SIGTERM)

        with ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(stop)
            outcome = load_api.send_all(url, plan, 8)
            stopping.result()
        assert process.wait(HANG) == 0
    # None that was decoded when the signal came, and not yet answered, is lost.
    assert outcome.statuses[200] >= decoded
    finished = [answer for answer in outcome.answers if answer.status == 200]
    assert [answer.wrong for answer in finished if answer.wrong] == []
    assert outcome.statuses[503] > 0
    assert set(outcome.statuses) <= {200, 503, 0}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux's")
def test_no_file_is_written_for_a_photo(photos: dict[str, np.ndarray], tiny_file: Path) -> None:
    """Neither a full disk nor a full temporary folder touches any result."""
    import resource

    file = io.BytesIO()
    Image.fromarray(photos["coffee"][:150, :200]).convert("L").save(file, "PNG")

    def results(url: str) -> dict[str, bytes]:
        answers = {
            format: coloured(url, file.getvalue(), format=format)
            for format in jaxcolor.image_io.NAMES
        }
        assert {answer.status_code for answer in answers.values()} == {200}
        return {format: answer.content for format, answer in answers.items()}

    with served(str(tiny_file)) as (url, process):
        before = results(url)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
        assert results(url) == before


def test_an_address_that_is_taken_is_said_in_one_line(run, url: str) -> None:
    port = url.rstrip("/").rpartition(":")[2]
    result = run("-m", "jaxcolor", "serve", "--port", port)
    assert result.returncode == 2
    assert f"127.0.0.1:{port}: cannot be listened on (Address already in use)" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_the_extra_one_line_says_what_to_install() -> None:
    code = (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name: None if name == 'fastapi' else find(name)\n"
        "from jaxcolor.cli import main; main(['serve'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "pip install 'jaxcolor[web]'" in result.stderr
    assert "Traceback" not in result.stderr
