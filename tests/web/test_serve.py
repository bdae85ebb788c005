"""`jaxcolor serve` as a process: under load, in a browser, and at its end."""

from __future__ import annotations

import io
import json
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import browsing
import httpx
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import schemathesis
from browsing import chroma, drop, jpeg, load_api, picture, screenshots, tabs
from patience import HANG, until
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import jaxcolor


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with load_api.served("--weights", "pyramid") as (url, _):
        yield url


@pytest.fixture(scope="module")
def good(params: jaxcolor.Params) -> list[Any]:
    return load_api.good_requests(params, 6)


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
            # What bytes are a photo no schema can say: those that are none are refused.
            case.call_and_validate(excluded_checks=[schemathesis.checks.positive_data_acceptance])

        check()


def huge_png() -> bytes:
    """A whole PNG of 3 GB of pixels in some megabytes."""
    side, block = 32_000, 32_000_000
    packer = zlib.compressobj(9, wbits=-15)
    zeros = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    count = side * (1 + 3 * side)  # each row begins with the number of its filter
    end = zlib.compressobj(9, wbits=-15)
    rest = end.compress(bytes(count % block)) + end.flush()
    adler = struct.pack(">HH", count % 65521, 1)  # of so many zeros
    data = b"\x78\xda" + zeros * (count // block) + rest + adler

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, content)
        for kind, content in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    )


def test_three_gigabytes_are_not_decoded(url: str) -> None:
    content = huge_png()
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


@pytest.mark.slow
def test_dropped_compared_turned_downloaded(page: Page, url: str) -> None:
    photo = jpeg()
    drop(page, photo)
    screenshots.wait_until_done(page)
    seen = picture(page)
    left, right = seen[:, 20 : seen.shape[1] // 2 - 30], seen[:, seen.shape[1] // 2 + 30 : -20]
    assert chroma(left) < 1 < 3 < chroma(right)

    # The divider: by keyboard, and by hand.
    page.focus("#split")
    page.keyboard.press("Home")
    whole = picture(page)
    assert chroma(whole[:, 40 : seen.shape[1] // 2 - 30]) > 3
    box = page.locator("#pictures").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + 30)
    assert abs(float(page.input_value("#split")) - 80) <= 2
    page.focus("#split")
    page.keyboard.press("Home")

    # Saturation, by keyboard.
    page.focus("#saturation")
    page.keyboard.press("End")
    expect(page.locator("#saturation-value")).to_have_text("2.00")
    with page.expect_response(lambda response: "saturation=2" in response.url):
        pass
    screenshots.wait_until_done(page)
    assert chroma(picture(page)) > 1.4 * chroma(whole)

    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "harbour.color.jpg"
    content = Path(download.value.path()).read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        assert (image.size, image.format, image.info["dpi"]) == ((300, 200), "JPEG", (300, 300))
        assert image.getexif()[0x010E] == "the harbour"
    assert content == coloured(url, photo["buffer"], saturation=2).content
    expect(page.locator("#saved")).to_contain_text("harbour.color.jpg, 300")


def test_several_by_dialog_and_a_format(page: Page) -> None:
    with page.expect_file_chooser() as chooser:
        page.click("#drop")
    chooser.value.set_files(files=[jpeg("one.jpg", 200), jpeg("two.jpeg", 250)])
    expect(page.locator("#photos img[src]")).to_have_count(2)
    expect(page.locator("#name")).to_have_text("one.jpg")
    page.get_by_role("button", name="two.jpeg").click()
    expect(page.locator("#name")).to_have_text("two.jpeg")
    page.select_option("#format", "png")
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "two.color.png"
    with Image.open(download.value.path()) as image:
        assert (image.format, image.size) == ("PNG", (250, 200))


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


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "letter.txt": (lambda: b"Dear all, " * 50, "The file is not a photo."),
    "huge.png": (huge_png, "has 32,000 x 32,000 pixels, and this server takes at most 250 million"),
    "half.jpg": (lambda: jpeg()["buffer"][:900], "The photo cannot be read"),
}


def test_refusals_are_understood(page: Page, tmp_path: Path) -> None:
    for name, (content, words) in REFUSED.items():
        (tmp_path / name).write_bytes(content())
        page.set_input_files("#files", tmp_path / name)
        message = page.get_by_role("alert").get_by_role("listitem").filter(has_text=name)
        expect(message).to_contain_text(words)
        page.get_by_role("button", name=f"Dismiss: {name}").click()
        expect(message).to_have_count(0)
    expect(page.locator("#examples")).to_be_visible()  # and the page is as before


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


def test_an_example_on_a_phone(url: str, chromium: Browser) -> None:
    screen = {"width": 360, "height": 740}
    with tabs(chromium, viewport=screen, is_mobile=True, has_touch=True) as context:
        page = context.new_page()
        page.goto(url)
        assert fits(page)
        page.get_by_role("button", name="Boats in a river").tap()
        screenshots.wait_until_done(page)
        drop(page, {"name": "a-long-name-" * 9 + ".txt", "mimeType": "", "buffer": b"no photo"})
        expect(page.locator("#refusals li")).to_be_visible()
        assert fits(page)


def fits(page: Page) -> bool:
    wide = page.evaluate("document.documentElement.scrollWidth")
    return bool(wide <= page.evaluate("innerWidth") <= 360)


def test_everything_has_a_name_and_can_be_reached_by_keyboard(page: Page) -> None:
    drop(page, jpeg())
    screenshots.wait_until_done(page)
    reached = []
    for _ in range(9):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    wanted = [
        "files",
        "mode-compare",
        "split",
        "saturation",
        "refine",
        "model",
        "format",
        "download",
    ]
    assert reached[: len(wanted)] == wanted
    tree = page.locator("body").aria_snapshot()
    for line in (
        '- heading "jaxcolor" [level=1]',
        'slider "Grey to the left, colour to the right of"',
        'slider "Saturation"',
        'slider "Refinement"',
        'combobox "Model"',
        'combobox "Save as"',
        'img "harbour.jpg in colour"',
        'button "Download full size"',
        "- status: Ready",
    ):
        assert line in tree, tree


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
def test_sigterm_under_load_loses_nothing(good: list[Any]) -> None:
    """What was let in is answered with its photo; what comes later is told so, or the door."""
    plan = [good[i % len(good)] for i in range(300)]
    with load_api.served("--weights", "pyramid") as (url, process):
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
def test_no_file_is_written_for_a_photo(photos: dict[str, np.ndarray]) -> None:
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

    with load_api.served("--weights", "pyramid") as (url, process):
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
