"""The page without a server: a folder in a browser that reaches nothing, and its arithmetic."""

from __future__ import annotations

import functools
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browsing
import jax
import loopback
import numpy as np
import page_as_such
import pytest
import skimage.color
from browsing import begin, drop, jpeg, lab, point, put, screenshots, script, tabs
from page_as_such import *  # noqa: F403  # its tests of the page
from page_with_hints import *  # noqa: F403  # likewise
from patience import HANG
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import jaxcolor
from jaxcolor.controls import Controls
from jaxcolor.hints import Hint
from jaxcolor.predict import framing, pure, spread, stages, strips

pytestmark = pytest.mark.unoptimized

SOURCES = Path(__file__).parents[2] / "web-static" / "src"


@pytest.fixture(scope="module")
def small_params(params: jaxcolor.Params) -> jaxcolor.Params:
    """The default colorizer on few pixels: in WebAssembly its first pass takes seconds.

    Pale, or more saturation would soon meet the gamut's end.
    """
    return jaxcolor.Params(params.config.predicting(size=64, saturation=0.5), params.variables)


@pytest.fixture(scope="module")
def folder(small_params: jaxcolor.Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("no npm on this machine: apt-get install npm")
    made = tmp_path_factory.mktemp("static") / "a page #1"  # whatever the folder is called
    script("static_page").make(made, small_params, "tiny")
    return made


@pytest.fixture(scope="module")
def url(folder: Path) -> str:
    return (folder / "index.html").as_uri()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    # WebAssembly is compiled once, quickly: each page computes little.
    quickly = "--js-flags=--no-wasm-tier-up --no-wasm-dynamic-tiering"
    offline = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with browsing.chromium(quickly, offline) as browser:
        yield browser


@pytest.fixture
def empty(url: str, chromium: Browser) -> Iterator[Page]:
    with tabs(chromium, viewport={"width": 1000, "height": 800}, offline=True) as made:
        page = made.new_page()
        page.goto(url)
        yield page


@pytest.fixture
def page(empty: Page, request: pytest.FixtureRequest) -> Page:
    """With a photo, ready for colours, for the tests of these."""
    if request.function.__module__ == "page_with_hints":
        begin(empty)
    return empty


@pytest.fixture
def is_right(small_params: jaxcolor.Params) -> page_as_such.IsRight:
    return functools.partial(check, small_params)


@pytest.fixture
def most() -> str:
    return "at most 100 million fit into a page"


def check(
    params: jaxcolor.Params, result: bytes, photo: bytes, saturation: float, **options: Any
) -> None:
    """The colours are nearly those of the package, and L is the photo's own."""
    given = Image.open(io.BytesIO(photo))
    own = jaxcolor.colorize(params, given, saturation=saturation, **options)
    found, expected, grey = (
        lab(np.asarray(image.convert("RGB")))
        for image in (Image.open(io.BytesIO(result)), own, given)
    )
    assert np.linalg.norm((found - expected)[..., 1:], axis=-1).mean() < 0.8
    assert np.abs(found - grey)[..., 0].mean() < 0.3
    assert np.linalg.norm(expected[..., 1:], axis=-1).mean() > 4


# -- the page --------------------------------------------------------------------------------------


def downloaded(page: Page) -> bytes:
    with page.expect_download() as download:
        page.click("#download")
    return Path(download.value.path()).read_bytes()


@pytest.mark.slow
def test_colours_by_hand_are_the_packages(
    empty: Page, small_params: jaxcolor.Params, photos: dict[str, np.ndarray]
) -> None:
    file = io.BytesIO()
    Image.fromarray(photos["coffee"]).convert("L").save(file, "PNG")
    drop(empty, {"name": "coffee.png", "mimeType": "image/png", "buffer": file.getvalue()})
    screenshots.wait_until_done(empty)
    empty.get_by_role("radio", name="Your colours").check(force=True)
    before = empty.get_attribute("#colour", "src") or ""
    put(empty, 0.3, 0.6, "#a03020")
    empty.mouse.click(*point(empty, 0.8, 0.2))
    empty.locator("#keep").check()
    empty.get_by_role("button", name="Done").click()
    expect(empty.locator("#colour")).not_to_have_attribute("src", before)
    screenshots.wait_until_done(empty)
    result = downloaded(empty)
    with empty.expect_download() as download:
        empty.get_by_role("button", name="Save hints").click()
    saved = json.loads(Path(download.value.path()).read_text())
    hints = [Hint(**hint) for hint in saved]
    assert [hint.colour for hint in hints] == ["#a03020", "keep"]
    check(small_params, result, file.getvalue(), 1.0, hints=hints)
    with pytest.raises(AssertionError):  # they do change something
        check(small_params, result, file.getvalue(), 1.0)


@pytest.mark.slow
def test_what_a_file_says_is_kept(empty: Page, small_params: jaxcolor.Params) -> None:
    """As it is true of the result: upright, without the grey thumbnail, in sRGB."""
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "the harbour", 6
    exif.get_ifd(0x8769)[0xA002] = 300
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    with Image.open(io.BytesIO(jpeg()["buffer"])) as image:
        turned, deep = io.BytesIO(), io.BytesIO()
        image.save(turned, "JPEG", exif=exif, xmp=packet, dpi=(240, 240), comment="box 7")
        wide = np.asarray(image).astype(np.uint16) * 257
    Image.fromarray(wide).save(deep, "PNG", dpi=(96, 96), exif=exif, pnginfo=texts())
    clear = Image.merge("LA", [Image.linear_gradient("L").rotate(90 * i) for i in range(2)])
    seen = io.BytesIO()
    clear.save(seen, "PNG")

    def result(name: str, content: bytes) -> tuple[Image.Image, str]:
        drop(empty, {"name": name, "mimeType": "", "buffer": content})
        expect(empty.locator("#name")).to_have_text(name)
        screenshots.wait_until_done(empty)
        image = Image.open(io.BytesIO(downloaded(empty)))
        expect(empty.locator("#saved")).to_contain_text(name.split(".")[0])
        return image, empty.locator("#saved").inner_text()

    image, said = result("turned.jpg", turned.getvalue())
    assert (image.format, image.size, said) == (
        "JPEG",
        (200, 300),
        f"turned.color.jpg, 200 {chr(215)} 300 pixels",
    )
    found = image.getexif()
    assert (found[0x010E], found[0x0112], found.get_ifd(0x8769)[0xA002]) == ("the harbour", 1, 200)
    assert b'tiff:Orientation="1"' in image.info["xmp"]
    assert (image.info["dpi"], image.info["comment"]) == ((240, 240), b"box 7")
    image, said = result("deep.png", deep.getvalue())
    assert (image.format, image.size) == ("PNG", (200, 300))
    assert image.getexif()[0x010E] == "the harbour"
    assert image.info["dpi"] == pytest.approx((96, 96), abs=0.1)
    assert image.info["Title"] == "Boats"
    assert said.endswith("16 bits have become 8")
    image, _ = result("clear.png", seen.getvalue())
    np.testing.assert_allclose(np.asarray(image)[..., 3], np.asarray(clear)[..., 1], atol=1)
    empty.select_option("#format", "jpg")
    empty.click("#download")
    expect(empty.locator("#refusals li")).to_contain_text(
        "JPEG cannot hold the photo's transparency"
    )


def texts() -> Any:
    from PIL.PngImagePlugin import PngInfo

    made = PngInfo()
    made.add_text("Title", "Boats")
    return made


@pytest.mark.slow
def test_a_static_host_serves_it(
    folder: Path, chromium: Browser, tmp_path: Path, photos: dict[str, np.ndarray]
) -> None:
    """One that knows nothing of it; and nothing is asked of another."""

    with loopback.folder(folder) as url, tabs(chromium) as context:
        page, asked, problems = context.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: problems.append(message.text))
        page.goto(f"{url}/")
        page.get_by_role("button", name="Boats in a river").click()
        screenshots.wait_until_done(page)
        assert [one for one in asked if not one.startswith((f"{url}/", f"blob:{url}/"))] == []
        assert problems == []
        # The browser is told so by the page, too.
        leave = "fetch('/index.html').catch(problem => problem.name)"
        assert page.evaluate(leave) == "TypeError"


def test_a_missing_part_is_told(folder: Path, chromium: Browser, tmp_path: Path) -> None:
    """Of a folder that was copied in part, say."""
    half = tmp_path / "half"
    shutil.copytree(folder, half, ignore=shutil.ignore_patterns("model.js", "runtime.js"))
    with tabs(chromium, offline=True) as context:
        page = context.new_page()
        page.goto((half / "index.html").as_uri())
        drop(page, jpeg())
        expect(page.get_by_role("alert")).to_contain_text("A file is missing: parts/")


# -- its arithmetic --------------------------------------------------------------------------------


def run_node(module: str, code: str, values: Any) -> Any:
    """What an expression of `given`, and of a module as `of`, comes to in Node."""
    if shutil.which("node") is None:
        pytest.skip("no Node on this machine: apt-get install nodejs")
    program = f"""
import {{ readFileSync }} from "node:fs";
import * as of from {json.dumps((SOURCES / module).as_uri())};
const plain = (key, value) => (ArrayBuffer.isView(value) ? [...value] : value);
const given = JSON.parse(readFileSync(0));
process.stdout.write(JSON.stringify({code}, plain));
"""
    found = subprocess.run(
        [
            "node",
            "--no-warnings",
            "--input-type=module",
            "-e",
            program,
        ],
        input=json.dumps(values, default=np.ndarray.tolist),
        capture_output=True,
        text=True,
        check=True,
        timeout=HANG,
    )
    assert found.stderr == ""
    return json.loads(found.stdout)


@pytest.fixture(scope="module")
def facts(params: jaxcolor.Params) -> dict[str, Any]:
    made: dict[str, Any] = script("static_page").facts(params)
    return made


def test_shapes_are_the_packages(params: jaxcolor.Params, facts: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    sizes = np.exp(rng.uniform(0, 9, (500, 2))).astype(int) + 1
    code = "given.sizes.map(([h, w]) => of.shapeFor(h, w, given.facts))"
    given = {"sizes": sizes, "facts": facts["framing"] | facts["model"]}
    found = run_node("framing.js", code, given)
    assert found == [list(stages.shape_for(params, (h, w))) for h, w in sizes.tolist()]


def framed(rng: np.random.Generator) -> np.ndarray:
    """A small L, with margins of all kinds, or nearly such."""
    small = rng.uniform(20, 80, (32, 48)) + rng.normal(0, 5, (32, 48))
    level = rng.choice([2.0, 50.0, 97.0])
    for axis in (0, 1):
        for end in (1, -1):
            part = np.swapaxes(small, 0, axis)[::end][: rng.integers(0, 7)]
            part[...] = level + rng.normal(0, rng.choice([0.1, 1.0, 2.5]), part.shape)
    return small.clip(0, 100).astype(np.float32)


def test_margins_are_the_packages(facts: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    pictures = [framed(rng) for _ in range(60)]
    code = (
        "given.all.map(small => of.content(Float32Array.from(small.flat()), [32, 48], given.facts))"
    )
    found = run_node("framing.js", code, {"all": pictures, "facts": facts["framing"]})
    boxes = [framing.content(small) for small in pictures]
    assert 5 < sum(box.is_all for box in boxes) < 55
    for box, other in zip(boxes, found, strict=True):
        assert other["isAll"] == box.is_all
        for name in ("top", "bottom", "left", "right", "rows", "columns"):
            np.testing.assert_allclose(other[name], getattr(box, name), rtol=0, atol=1e-12)


def test_resizing_is_the_packages() -> None:
    rng = np.random.default_rng(0)
    code = """given.all.map(({pixels, shape, box: [top, bottom, left, right]}) =>
        of.resized(Float32Array.from(pixels.flat()),
            of.resizing(pixels.length, shape[0], top, bottom),
            of.resizing(pixels[0].length, shape[1], left, right)))"""
    given = []
    for size in ((70, 90), (40, 33), (8, 200), (5, 5)):
        first, last = rng.uniform(0, 0.3, 2), rng.uniform(0.7, 1, 2)
        box = [first[0], last[0], first[1], last[1]]
        given.append({"pixels": rng.uniform(0, 100, size), "shape": [16, 24], "box": box})
    from jaxcolor.refine import resize_matrix

    for one, found in zip(given, run_node("resizing.js", code, {"all": given}), strict=True):
        top, bottom, left, right = one["box"]
        rows = resize_matrix(len(one["pixels"]), 16, top, bottom)
        columns = resize_matrix(one["pixels"].shape[1], 24, left, right)
        expected = rows @ one["pixels"] @ columns.T
        np.testing.assert_allclose(np.reshape(found, (16, 24)), expected, rtol=0, atol=1e-3)


def small_picture(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    soft = rng.normal(0, 1, (*shape, 3)).cumsum(axis=0).cumsum(axis=1)
    soft = (soft - soft.mean(axis=(0, 1))) / soft.std(axis=(0, 1))
    return (soft * [20, 15, 15] + [50, 0, 0]).clip([0, -90, -90], [100, 90, 90]).astype(np.float32)


HINTS = [
    {"x": 0.2, "y": 0.3, "colour": "#a03020"},
    {"x": 0.7, "y": 0.6, "colour": "neutral", "radius": 0.3},
    {"x": 0.5, "y": 0.5, "colour": "#2040a0"},
    {"x": 0.51, "y": 0.5, "colour": "#40a020"},
    {"x": 0.8, "y": 0.1, "colour": "keep"},
]


def test_hints_spread_as_the_packages(facts: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    code = """given.all.map(({small, photo, hints}) => {
        const plane = (i) => Float32Array.from(small.flat(), (cell) => cell[i]);
        const shape = [small.length, small[0].length];
        const [light, a, b] = [0, 1, 2].map(plane);
        return of.spread({shape, light, a, b}, hints, photo, given.facts);
    })"""
    all_ = [
        {"small": small_picture(rng, (40, 60)), "photo": [400, 600], "hints": HINTS},
        {"small": small_picture(rng, (64, 32)), "photo": [999, 444], "hints": HINTS[:1]},
        {"small": small_picture(rng, (32, 32)), "photo": [64, 64], "hints": []},
    ]
    found = run_node("spreading.js", code, {"all": all_, "facts": facts["spread"]})
    for one, other in zip(all_, found, strict=True):
        shape = one["small"].shape[:2]
        placed = spread.spots([Hint(**hint) for hint in one["hints"]], tuple(one["photo"]))
        arguments = one["small"], placed, np.array(one["photo"], np.float32)
        expected = np.asarray(spread.spread(*pure.on_device(arguments)))[..., 1:]
        got = np.stack([np.reshape(other[name], shape) for name in "ab"], axis=-1)
        off = np.abs(got - expected)
        # A cell that lies between two hints may be given to either by a last bit.
        assert np.quantile(off, 0.99) < 0.01
        assert (np.abs(expected - one["small"][..., 1:]).max() > 5) == bool(one["hints"])


@pytest.mark.parametrize("size", [(45, 70), (9, 200)])  # larger than the small one, and smaller
def test_painting_is_the_packages(facts: dict[str, Any], size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    small = small_picture(rng, (16, 24))
    pixels = rng.integers(0, 256, (*size, 3), np.uint8)
    pixels[:, ::2] = pixels[:, ::2, :1]  # half of it grey
    code = """(() => {
        const plane = (i) => Float32Array.from(given.small.flat(), (cell) => cell[i]);
        const small = {shape: [16, 24], light: plane(0), a: plane(1), b: plane(2)};
        const [height, width] = given.size;
        const ready = of.prepared(small, height, width, 1.3);
        const painter = new of.Painter(ready, height, width, 0.8, given.facts);
        const rgba = Uint8ClampedArray.from(given.pixels.flat().flatMap((rgb) => [...rgb, 7]));
        for (let y = 0; y < height; y++) painter.row(rgba, y * width, y);
        return rgba;
    })()"""
    given = {"small": small, "pixels": pixels, "size": size, "facts": facts["refine"]}
    found = np.reshape(run_node("painting.js", code, given), (*size, 4))
    controls = Controls(saturation=1.3, refine=0.8)
    expected = np.concatenate(list(strips.paint(pixels, small, controls)))
    assert (found[..., 3] == 7).all()
    assert np.abs(found[..., :3] - expected.astype(int)).max() <= 1
    assert np.abs(found[..., :3] - expected.astype(int)).mean() < 0.05
    light = skimage.color.rgb2lab(found[..., :3].astype(np.uint8))[..., 0]
    assert np.abs(light - skimage.color.rgb2lab(pixels)[..., 0]).max() < 1.5


def test_weights_stored_in_half_give_the_same_colours(params: jaxcolor.Params) -> None:
    import onnxruntime

    from jaxcolor import exporting

    whole = exporting.to_onnx(params)
    half = script("static_page").halved(whole)
    assert len(half) < 0.51 * len(whole)
    light = np.asarray(jax.random.uniform(jax.random.key(0), (1, 224, 224)) * 100)
    one, other = (
        onnxruntime.InferenceSession(data).run(None, {"lightness": light})[0]
        for data in (whole, half)
    )
    assert np.abs(one - other).max() < 0.3
