"""The colours that the user knows: how they are written, and what becomes of the photo."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.sparse
import scipy.sparse.csgraph
import skimage.color
import tiny_network
from PIL import Image, ImageDraw

import jaxcolor
from jaxcolor import Hint, color, hints, strokes
from jaxcolor.hints import CAPACITY, HintError
from jaxcolor.models import Params
from jaxcolor.predict import colorize_rows, pure, spread

pytestmark = pytest.mark.unoptimized

SIZE = (160, 240)  # a photo's
GRID = (128, 192)  # its cells


# -- what a hint is --------------------------------------------------------------------------------


def test_whole_numbers_are_pixels_and_others_shares() -> None:
    assert Hint(0, 159, "red").placed((160, 240)) == (159.5 / 160, 0.5 / 240, math.inf)
    assert Hint(0.25, 0.5, "red", 0.1).placed((160, 240)) == (0.5, 0.25, 0.1)
    assert Hint(1.0, 1.0, "red").placed((160, 240))[:2] == (1, 1)
    assert Hint(1, 0.5, "red", 1).placed((160, 240)) == (0.5, 1, 1)  # one share makes both shares
    assert Hint(np.int64(3), np.uint8(4), "red", 12).placed((160, 240))[2] == 12 / 240


@pytest.mark.parametrize(
    ("colour", "rgb"),
    [
        ("#a03020", (160, 48, 32)),
        ("#FB0", (255, 187, 0)),
        (" RebeccaPurple ", (102, 51, 153)),
        ((1, 2, 3), (1, 2, 3)),
        ([255, np.uint8(0), 7], (255, 0, 7)),
    ],
)
def test_colours(colour: Any, rgb: tuple[int, int, int]) -> None:
    assert Hint(1, 1, colour).rgb == rgb


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("a", 1, "red"), 'x: "a" is no number'),
        ((1, math.nan, "red"), "y: nan is no number"),
        ((1, True, "red"), "y: True is no number"),
        ((1.5, 2, "red"), "x: 1.5 is neither a whole number of pixels nor a share from 0 to 1"),
        ((0.5, 0.5, "red", 0), "radius: 0 is neither a positive share of the long side"),
        ((0.5, 0.5, "red", 2), "radius: 2 is neither"),
        ((5, 5, "red", 1.5), "radius: 1.5 is neither"),
        ((5, 5, "reddish"), 'colour: "reddish" is none; write #RRGGBB'),
        ((5, 5, "#12345"), "colour: "),
        ((5, 5, (1, 2)), "colour: "),
        ((5, 5, (1, 2, 256)), "colour: "),
        ((5, 5, (0.5, 0.5, 0.5)), "colour: "),
        ((5, 5, None), "colour: None is none"),
    ],
)
def test_what_is_wrong_is_named(fields: tuple[Any, ...], message: str) -> None:
    with pytest.raises(HintError) as error:
        Hint(*fields)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_outside_of_the_photo() -> None:
    good = Hint(239, 159, "red")
    assert hints.check([good], SIZE) == (good,)
    for hint, message in (
        (Hint(240, 0, "red"), "hint 2: x: 240 is outside of the photo, which is 240 pixels wide"),
        (Hint(0, -1, "red"), "hint 2: y: -1 is outside of the photo, which is 160 pixels high"),
    ):
        with pytest.raises(HintError, match=f"^{message}"):
            hints.check([good, hint], SIZE)
    with pytest.raises(HintError, match=f"^{CAPACITY + 1} hints are too many: {CAPACITY} are the"):
        hints.check([good] * (CAPACITY + 1))
    with pytest.raises(TypeError, match=r"^hint 1 is no jaxcolor\.Hint, but tuple"):
        hints.check([(1, 2, "red")])  # type: ignore[list-item]


def test_as_text() -> None:
    assert hints.from_text("120,80=#a03020") == Hint(120, 80, "#a03020")
    assert hints.from_text(" 0.5, 1 ,0.2 = Navy ") == Hint(0.5, 1, "navy", 0.2)
    for text, message in (
        ("120,80", '"120,80": a hint is X,Y=COLOUR or X,Y,RADIUS=COLOUR'),
        ("1,2,3,4=red", "a hint is"),
        ("1,b=red", '"1,b=red": y: "b" is no number'),
        ("1,2=" + 90 * "x", "colour: "),
    ):
        with pytest.raises(HintError) as error:
            hints.from_text(text)
        assert message in str(error.value)
        assert len(str(error.value)) < 220


def test_as_json() -> None:
    some = (Hint(0.5, 1.0, "red"), Hint(3, 4, (1, 2, 3), 20), Hint(0.1, 0.2, "neutral", 0.5))
    assert hints.from_json(hints.to_json(some)) == some
    lines = json.loads(hints.to_json(some))["hints"]
    assert hints.from_json(json.dumps(lines)) == some
    assert hints.from_json('[{"x": 1, "y": 0, "colour": "red"}]', shares=True) == (
        Hint(1.0, 0.0, "red"),
    )
    for text, shares, message in (
        ("{", False, "no JSON"),
        (b"\xff\xff", False, "no JSON"),
        ("[" * 100_000, False, "no JSON"),
        ('{"hint": []}', False, 'an array of hints, or {"hints": an array of hints}, is needed'),
        ("[1]", False, "hint 1: it is no object with x, y and colour"),
        ('[{"x": 1, "y": 2}]', False, "hint 1: colour is missing"),
        ('[{"x": 1, "y": 2, "color": "red"}]', False, 'hint 1: "color": the fields are x, y, co'),
        ('[{"x": 1, "y": null, "colour": "red"}]', False, "hint 1: y: None is no number"),
        ('[{"x": 2, "y": 0, "colour": "red"}]', True, "hint 1: x: 2 is not between 0 and 1"),
        (json.dumps([{}] * (CAPACITY + 1)), False, f"{CAPACITY + 1} hints are too many"),
    ):
        with pytest.raises(HintError) as error:
            hints.from_json(text, shares=shares)
        assert str(error.value).startswith(message)


# -- strokes ---------------------------------------------------------------------------------------


def layer(size: tuple[int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGBA", size[::-1], (0, 0, 0, 0))
    return image, ImageDraw.Draw(image)


def test_strokes_become_hints_along_them(tmp_path: Path) -> None:
    image, draw = layer((400, 600))
    draw.line([(50, 50), (550, 60)], fill=(200, 30, 30, 255), width=12)
    draw.line([(100, 300), (400, 300)], fill=(20, 60, 200, 255), width=3)
    draw.ellipse((500, 300, 512, 312), fill=(0, 160, 0, 255))
    image.save(tmp_path / "strokes.png")
    found = hints.read(tmp_path / "strokes.png", (400, 600))
    for colour, least in (((200, 30, 30), 10), ((20, 60, 200), 6), ((0, 160, 0), 1)):
        assert sum(hint.colour == colour for hint in found) >= least
    painted = np.asarray(image)
    for hint in found:
        assert tuple(painted[int(hint.y), int(hint.x), :3]) == hint.colour
    red = sorted(hint.x for hint in found if hint.colour == (200, 30, 30))
    assert red[0] < 80
    assert red[-1] > 520
    assert max(np.diff(red)) < 60  # no gaps


def test_any_painting_gives_a_bounded_number_of_hints() -> None:
    image, draw = layer((300, 300))
    draw.rectangle((0, 0, 299, 299), fill=(9, 9, 9, 255))
    assert 40 < len(strokes.from_layer(np.asarray(image))) <= CAPACITY
    rng = np.random.default_rng(0)
    for _ in range(60):
        ends = [tuple(int(c) for c in rng.integers(0, 300, 2)) for _ in range(2)]
        draw.line(ends, fill=(*(int(c) for c in rng.integers(0, 256, 3)), 255), width=2)
    with pytest.raises(HintError, match=f"strokes are too many: {CAPACITY} are the most"):
        strokes.from_layer(np.asarray(image))


def test_layers_that_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "layer.png"
    empty, draw = layer((30, 40))
    empty.save(file)
    with pytest.raises(HintError, match=r"layer.png: no stroke on it: all of it is transparent$"):
        hints.read(file, (30, 40))
    draw.point((3, 4), fill=(255, 0, 0, 255))
    empty.save(file)
    assert hints.read(file, (30, 40)) == (Hint(3, 4, (255, 0, 0)),)
    assert hints.read(file) == ()  # as long as the photo is not known
    with pytest.raises(HintError, match=r"it has 40x30 pixels, and the photo, upright, 30x40$"):
        hints.read(file, (40, 30))
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(HintError, match=r"a damaged PNG$"):
        hints.read(file, (30, 40))
    Image.new("RGB", (40, 30)).save(file)
    with pytest.raises(HintError, match="nothing of it is transparent"):
        hints.read(file)
    with pytest.raises(HintError, match=r"missing.json: cannot be read \(No such file"):
        hints.read(tmp_path / "missing.json")
    file.write_bytes(b" " * (hints.MAX_BYTES + 1))
    with pytest.raises(HintError, match="neither a PNG nor a list of at most"):
        hints.read(file)


def test_the_file_beside_a_photo(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    assert hints.beside(photo) is None
    for name in ("a.hints.json", "a.jpg.hints.json"):  # the second names one photo alone
        (tmp_path / name).write_text("[]")
        assert hints.beside(photo) == tmp_path / name
    assert hints.beside(tmp_path / "a.png") == tmp_path / "a.hints.json"


# -- how they spread -------------------------------------------------------------------------------


def spread_out(small: np.ndarray, some: list[Hint], size: tuple[int, int] = SIZE) -> np.ndarray:
    placed = spread.spots(some, size)
    return np.asarray(spread.spread(*pure.on_device((small, placed, np.array(size, np.float32)))))


def smooth_noise(seed: int, planes: int, scale: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(*GRID, planes))
    noise = scipy.ndimage.gaussian_filter(noise, (5, 5, 0), mode="nearest")
    return (noise / noise.std() * scale).astype(np.float32)


def some_picture(seed: int) -> np.ndarray:
    """Lab, with soft and hard edges."""
    lightness = 50 + smooth_noise(seed, 1, 4)[..., 0]
    lightness[smooth_noise(seed + 1, 1, 1)[..., 0] > 0.5] += 20
    return np.dstack([lightness.clip(0, 100), smooth_noise(seed + 2, 2, 10)])


def some_hints(seed: int, count: int) -> list[Hint]:
    rng = np.random.default_rng(seed)
    colours = ["#a03020", "navy", (20, 160, 40), "neutral", "keep", "orange"]
    return [
        Hint(int(x), int(y), colours[i % 6], (None, 0.2)[i % 7 == 0])
        for i, (y, x) in enumerate(np.stack([rng.integers(0, side, count) for side in SIZE], 1))
    ]


def ab_of(rgb: tuple[int, int, int]) -> np.ndarray:
    return skimage.color.rgb2lab(np.array(rgb) / 255)[1:]


def distances_by_dijkstra(small: np.ndarray, cells: list[tuple[int, int]]) -> np.ndarray:
    """Geodesic distances from each cell, by SciPy, in the words of docs/hints.md."""
    calm = small[..., 0].astype(float)
    for axis in (0, 1, 0, 1):
        binomial = np.array([1, 4, 6, 4, 1]) / 16
        calm = scipy.ndimage.correlate1d(calm, binomial, axis, mode="nearest")
    height, width = calm.shape
    down, across = SIZE[0] / height / max(SIZE), SIZE[1] / width / max(SIZE)
    contrast = small[..., 0].std() / 20
    numbers = np.arange(height * width).reshape(height, width)
    one, other, costs = [], [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = np.s_[: height - dy, max(0, -dx) : width - max(0, dx)]
        b = np.s_[dy:, max(0, dx) : width + min(0, dx)]
        length = np.hypot(dy * down, dx * across)
        cost = 0.35 * length + (calm[a] - calm[b]) ** 2 / (length * 10_000 * contrast**2)
        one.append(numbers[a].ravel())
        other.append(numbers[b].ravel())
        costs.append(cost.ravel())
    graph = scipy.sparse.csr_matrix(
        (np.concatenate(costs), (np.concatenate(one), np.concatenate(other))),
        shape=(height * width,) * 2,
    )
    starts = [numbers[cell] for cell in cells]
    return scipy.sparse.csgraph.dijkstra(graph, directed=False, indices=starts).reshape(
        len(cells), height, width
    )


@pytest.mark.parametrize("count", [1, 12])
def test_distances_are_those_of_dijkstra(count: int) -> None:
    """To the nearest hint, and to the second nearest."""
    small = some_picture(3)
    rng = np.random.default_rng(count)
    cells = [tuple(int(rng.integers(0, side)) for side in GRID) for _ in range(count)]
    expected = np.sort(distances_by_dijkstra(small, cells), axis=0)

    seeds = np.full(GRID, spread._FAR, np.int32)
    for label, cell in enumerate(cells):
        seeds[cell] = label

    @jax.jit
    def found(lightness: jax.Array, seeds: jax.Array) -> tuple[jax.Array, jax.Array]:
        costs = spread._costs(lightness, jnp.array(SIZE, jnp.float32))
        nearest = spread._relaxed(seeds, costs)
        return spread._distance(nearest), spread._distance(spread._second(nearest, costs))

    nearest, second = map(np.asarray, found(small[..., 0], seeds))
    assert (expected[0] < 1).mean() > 0.1
    # Each step is rounded to 1/65536.
    np.testing.assert_allclose(nearest, expected[0].clip(0, 1), atol=3e-3)
    if count == 1:
        assert (second == 1).all()
    else:
        np.testing.assert_allclose(second, expected[1].clip(0, 1), atol=3e-3)


@pytest.mark.parametrize("seed", range(3))
def test_a_hint_is_exact_at_its_place(seed: int) -> None:
    small, some = some_picture(seed), []
    cells = [(int(h.y) * 4 // 5, int(h.x) * 4 // 5) for h in some_hints(seed, 20)]
    for (y, x), hint in zip(cells, some_hints(seed, 20), strict=True):
        some.append(Hint((x + 0.5) / GRID[1], (y + 0.5) / GRID[0], hint.colour))
    assert len(set(cells)) == len(some)
    coloured = spread_out(small, some)
    np.testing.assert_array_equal(coloured[..., 0], small[..., 0])
    for cell, hint in zip(cells, some, strict=True):
        wished = {"keep": small[cell][1:], "neutral": np.zeros(2)}
        expected = wished.get(str(hint.colour), ab_of(hint.rgb))
        np.testing.assert_allclose(coloured[cell][1:], expected, atol=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_hints_does_not_matter(seed: int) -> None:
    small, some = some_picture(seed), some_hints(seed, 30)
    some += [Hint(some[0].x, some[0].y, "lime")]  # two of one cell
    one = spread_out(small, some)
    for _ in range(3):
        np.random.default_rng(seed).shuffle(some)  # type: ignore[arg-type]
        np.testing.assert_array_equal(spread_out(small, some), one)


@pytest.mark.parametrize("seed", range(3))
def test_a_mirrored_photo_gets_the_mirrored_colours(seed: int) -> None:
    small, some = some_picture(seed), some_hints(seed, 30)
    coloured = spread_out(small, some)
    assert np.abs(coloured - small).mean() > 1
    mirrored = [Hint(SIZE[1] - 1 - int(h.x), h.y, h.colour, h.radius) for h in some]
    other = spread_out(small[:, ::-1].copy(), mirrored)[:, ::-1]
    # Where two hints are equally near, it may be another one that comes third.
    assert (np.abs(other - coloured).max(axis=-1) < 0.01).mean() > 0.999
    upside = [Hint(h.x, SIZE[0] - 1 - int(h.y), h.colour, h.radius) for h in some]
    other = spread_out(small[::-1].copy(), upside)[::-1]
    assert (np.abs(other - coloured).max(axis=-1) < 0.01).mean() > 0.999


def test_the_colour_that_is_there_changes_nothing() -> None:
    for seed in range(3):
        small = some_picture(seed)
        small[..., 0] = small[..., 0].clip(40, 70)  # where such chroma exists
        some = []
        for y, x in np.random.default_rng(seed).integers(5, 120, (8, 2)):
            rgb = skimage.color.lab2rgb(small[y, x].astype(float))
            place = {"x": (x + 0.5) / GRID[1], "y": (y + 0.5) / GRID[0]}
            some.append(Hint(**place, colour=tuple(int(c) for c in np.rint(rgb * 255))))
        moved = np.linalg.norm(spread_out(small, some) - small, axis=-1)
        assert moved.mean() < 0.2


def regions(seed: int) -> Iterator[tuple[np.ndarray, np.ndarray, tuple[int, int]]]:
    """L of a disc or a rectangle before another lightness, with grain; its inside, its middle."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: GRID[0], : GRID[1]]
    middle = int(rng.integers(45, 80)), int(rng.integers(50, 140))
    down, across = np.abs(y - middle[0]), np.abs(x - middle[1])
    for inside in (np.hypot(down, across) < 30, (down < 22) & (across < 40)):
        for step in (-25, 30):
            lightness = np.where(inside, 50.0 + step, 50.0) + rng.normal(0, 1, GRID)
            yield lightness.astype(np.float32), inside, middle


@pytest.mark.parametrize("seed", range(2))
def test_colours_stay_in_their_region(seed: int) -> None:
    for lightness, inside, (y, x) in regions(seed):
        small = np.dstack([lightness, np.full_like(lightness, 5), np.full_like(lightness, 8)])
        hint = Hint((x + 0.5) / GRID[1], (y + 0.5) / GRID[0], (200, 20, 30))
        moved = np.linalg.norm(spread_out(small, [hint]) - small, axis=-1)
        offset = np.linalg.norm(ab_of((200, 20, 30)) - [5, 8])
        rim = scipy.ndimage.binary_dilation(inside, iterations=2)
        rim &= ~scipy.ndimage.binary_erosion(inside, iterations=2)
        assert moved[inside & ~rim].mean() > 0.9 * offset
        assert moved[~inside & ~rim].mean() < 1
        assert np.quantile(moved[~inside & ~rim], 0.99) < 1


def test_neutral_keep_and_radius() -> None:
    small = np.full((*GRID, 3), 50, np.float32)
    small[..., 1:] = 20, -10
    grey = spread_out(small, [Hint(0.25, 0.5, "neutral")])
    assert np.abs(grey[40:90, 30:70, 1:]).max() < 0.5
    red = [Hint(0.25, 0.5, "red")]
    with_shelter = spread_out(small, [*red, Hint(0.4, 0.5, "keep")])
    assert np.abs(with_shelter[64, 76:80] - small[64, 76:80]).max() < 1
    assert np.abs(spread_out(small, red)[64, 76:80] - small[64, 76:80]).max() > 50
    near = spread_out(small, [Hint(0.25, 0.5, "red", 0.1)])
    y, x = np.mgrid[: GRID[0], : GRID[1]]
    away = np.hypot((y + 0.5) / GRID[0] - 0.5, ((x + 0.5) / GRID[1] - 0.25) * 1.5) / 1.5
    moved = np.abs(near - small).max(axis=-1)
    assert (moved[away >= 0.1] == 0).all()
    assert (moved[away < 0.045] > 50).all()


def test_full_capacity() -> None:
    small, some = some_picture(0), some_hints(5, CAPACITY)
    coloured = spread_out(small, some)
    assert np.isfinite(coloured).all()
    np.testing.assert_array_equal(spread_out(small, []), small)


# -- photos ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grey(photos: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(Image.fromarray(photos["coffee"]).convert("L").resize((240, 160)))


@pytest.fixture(scope="module", params=[32, 224], ids=["coarse", "fine"])
def tiny(request: pytest.FixtureRequest) -> Params:
    """One whose answer is made finer for hints, and one whose answer is fine enough."""
    config, variables = tiny_network.make(request.param)
    return Params(config.predicting(fitted=True, saturation=1.5), variables)


SOME = [Hint(60, 80, "#2040a0"), Hint(0.8, 0.3, "neutral", 0.2), Hint(200, 150, "#c08040")]


def test_every_way_gives_the_same(tiny: Params, grey: np.ndarray) -> None:
    coloured = jaxcolor.colorize(tiny, grey, hints=SOME)
    plain = jaxcolor.colorize(tiny, grey)
    assert np.abs(coloured.astype(int) - plain).mean() > 1
    rows = np.concatenate(list(colorize_rows(tiny, grey, hints=SOME[::-1])))
    np.testing.assert_array_equal(rows, coloured)
    batch = jaxcolor.colorize_batch(tiny, [grey, grey], hints=[(), SOME], batch_size=1)
    np.testing.assert_array_equal(batch[0], plain)
    np.testing.assert_array_equal(batch[1], coloured)
    pure_one = np.asarray(jaxcolor.colorize(tiny, jnp.asarray(grey), hints=SOME))
    assert np.abs(pure_one.astype(int) - coloured).max() <= 1
    with pytest.raises(ValueError, match="zip"):
        jaxcolor.colorize_batch(tiny, [grey, grey], hints=[SOME])
    for image in (grey, jnp.asarray(grey), Image.fromarray(grey)):
        with pytest.raises(HintError, match=r"^hint 1: x: 240 is outside of the photo"):
            jaxcolor.colorize(tiny, image, hints=[Hint(240, 1, "red")])


@pytest.mark.parametrize("saturation", [0.0, 1.0, 2.0, 100.0])
def test_a_hint_is_exact_whatever_the_saturation(
    tiny: Params, grey: np.ndarray, saturation: float
) -> None:
    """And where sRGB has no such colour of that lightness, the most of it that there is."""
    lab = skimage.color.rgb2lab(
        jaxcolor.colorize(tiny, grey, hints=SOME, saturation=saturation, refine=0)
    )
    for hint in SOME[::2]:
        there = lab[int(hint.y), int(hint.x)]
        possible = color.lab_to_rgb(np.array([there[0], *ab_of(hint.rgb)], np.float32))
        assert np.linalg.norm(there[1:] - skimage.color.rgb2lab(possible)[1:]) < 3


def test_gradients_pass_by_the_hints() -> None:
    small = jnp.asarray(some_picture(0)[:32, :48])
    placed = pure.on_device(spread.spots(some_hints(0, 3), SIZE))
    photo = jnp.array(SIZE, jnp.float32)
    gradient = jax.grad(lambda small: spread.spread(small, placed, photo).sum())(small)
    assert np.isfinite(np.asarray(gradient)).all()
    assert (np.asarray(gradient)[..., 1:] != 0).any()
