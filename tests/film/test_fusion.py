"""Colours along the motion, on motion that is known."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import clips
import numpy as np
import pytest
from scipy import ndimage

from jaxcolor.film import fusion, motion, scenes, tracks
from jaxcolor.hints import KEEP, Hint

SHAPE = (96, 128)


def run(thins: list[np.ndarray], abs: list[np.ndarray]) -> list[np.ndarray]:
    watched = list(scenes.watched(thins))
    assert [one.opens for one in watched] == [True] + [False] * (len(thins) - 1)
    labs = [
        np.dstack([thin.astype(np.float32) / 2.55, ab.astype(np.float32)])
        for thin, ab in zip(thins, abs, strict=True)
    ]
    given = ((lab, one.there, one.back, None) for lab, one in zip(labs, watched, strict=True))
    out = [lab for lab, _ in fusion.fused(given)]
    for lab, own in zip(out, labs, strict=True):
        np.testing.assert_array_equal(lab[..., 0], own[..., 0])
    return [lab[..., 1:] for lab in out]


def test_what_is_the_same_in_all_frames_stays() -> None:
    thins = clips.pan(12)
    abs = [np.full((*SHAPE, 2), (20.0, -7.0))] * 12
    for ab in run(thins, abs):
        np.testing.assert_allclose(ab, abs[0], atol=1e-3)


def test_colours_move_with_the_picture() -> None:
    """Noise of each frame goes, and what lies on the ground moves with it."""
    rng = np.random.default_rng(0)
    wide = clips.ground(0, (112, 256))
    paint = ndimage.gaussian_filter(rng.normal(0, 300, (112, 256, 2)), (6, 6, 0))
    count = 40
    thins = [wide[8:104, 2 * t : 2 * t + 128].copy() for t in range(count)]
    true = [paint[8:104, 2 * t : 2 * t + 128] for t in range(count)]
    noise = [ndimage.gaussian_filter(rng.normal(0, 60, (*SHAPE, 2)), (4, 4, 0)) for _ in thins]
    tints = rng.normal(0, 2, (count, 1, 1, 2))
    abs = [one + off + tint for one, off, tint in zip(true, noise, tints, strict=True)]
    out = run(thins, abs)
    inner = (slice(10, -10), slice(16, -16))
    middle = range(12, 28)
    before = np.mean([np.linalg.norm((abs[t] - true[t])[inner], axis=-1).mean() for t in middle])
    after = np.mean([np.linalg.norm((out[t] - true[t])[inner], axis=-1).mean() for t in middle])
    assert after < 0.5 * before

    def flicker(frames: list[np.ndarray]) -> float:
        steps = [
            np.linalg.norm(frames[t + 1][10:-10, 16:-18] - frames[t][10:-10, 18:-16], axis=-1)
            for t in range(count - 1)
        ]
        return float(np.mean(steps))

    assert flicker(out) < 0.25 * flicker(abs)


def test_what_is_uncovered_keeps_its_own_colour() -> None:
    """A dark square passes over a bright ground; its colour does not smear."""
    rng = np.random.default_rng(1)
    ground = ndimage.gaussian_filter(rng.normal(0, 250, SHAPE), 2) + 170
    patch = ndimage.gaussian_filter(rng.normal(0, 120, (32, 32)), 1.5) + 60
    thins, abs = [], []
    for t in range(28):
        thin, ab = ground.copy(), np.zeros((*SHAPE, 2))
        x = 10 + 3 * t
        thin[30:62, x : x + 32], ab[30:62, x : x + 32] = patch, (40, 30)
        thins.append(thin.clip(0, 255).astype(np.uint8))
        abs.append(ab)
    for t, ab in enumerate(run(thins, abs)):
        x = 10 + 3 * t
        inside, outside = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
        inside[34:58, x + 4 : x + 28] = True
        outside[26:66, x - 4 : x + 36] = False
        assert np.linalg.norm(ab[inside] - (40, 30), axis=-1).mean() < 4
        assert np.linalg.norm(ab[outside], axis=-1).mean() < 1


def test_exposure_is_no_change_of_colour() -> None:
    thin = clips.pan(1)[0]
    levels = [0.85, 1.0, 0.9, 1.05, 0.95, 1.0]
    thins = [(thin * level).clip(0, 255).astype(np.uint8) for level in levels]
    abs = [np.full((*SHAPE, 2), float(t % 2)) for t in range(6)]
    out = np.stack(run(thins, abs))
    assert np.abs(out[1:-1] - 0.5).mean() < 0.2


class Token:
    """What goes with a frame."""


def test_memory_hangs_on_the_reach_alone() -> None:
    thin = clips.pan(1)[0]
    path = motion.between(thin, thin)[0]
    alive: weakref.WeakSet[Token] = weakref.WeakSet()

    def given() -> Iterator[tuple[np.ndarray, object, object, Token]]:
        for t in range(150):
            alive.add(token := Token())
            small = motion.resized(path, (8, 8))
            paths = (small, small) if t else (None, None)
            yield np.zeros((8, 8, 3), np.float32), *paths, token

    most = 0
    for count, _ in enumerate(fusion.fused(given()), 1):
        if count % 70 == 0:  # two reaches and more
            gc.collect()
            most = max(most, len(alive))
    assert count == 150
    assert most <= 2 * fusion.REACH + 4


def test_reach_is_what_a_frame_hangs_on() -> None:
    thins = clips.pan(1) * 80
    abs = [np.zeros((*SHAPE, 2)) for _ in thins]
    abs[40] = np.ones((*SHAPE, 2))
    touched = [t for t, ab in enumerate(run(thins, abs)) if np.abs(ab).max() > 0]
    assert touched == list(range(40 - fusion.REACH, 40 + fusion.REACH + 1))


@pytest.mark.parametrize("step", [1, 5, 9])
def test_cuts_and_no_cuts(step: int) -> None:
    films = [clips.pan(5, seed, step=step) for seed in range(4)]
    rng = np.random.default_rng(step)
    thins = []
    for film in films:
        for luma in film:
            noisy = luma * rng.uniform(0.95, 1.05) + rng.normal(0, 4, luma.shape)
            thins.append(noisy.clip(0, 255).astype(np.uint8))
    opens = [number for number, one in enumerate(scenes.watched(thins)) if one.opens]
    assert opens == [0, 5, 10, 15]


def test_a_fade_to_black_is_a_border() -> None:
    thin = clips.pan(1)[0]
    levels = [1, 0.7, 0.4, 0.15, 0, 0, 0.15, 0.4, 0.7, 1]
    thins = [(thin * level).astype(np.uint8) for level in levels]
    opens = [number for number, one in enumerate(scenes.watched(thins)) if one.opens]
    assert opens == [0, 4, 6]


def test_hints_move_with_the_picture() -> None:
    thins = clips.pan(20) + clips.pan(10, 1)
    frames = [(t / 25, thin) for t, thin in enumerate(thins)]
    hint = Hint(0.5, 0.25, "red", 0.1, time=0.41)  # of frame 10
    found = tracks.tracked(frames, [hint], SHAPE)
    assert sorted(found) == list(range(20))
    for number, some in found.items():
        (place,) = some
        assert place.x == pytest.approx(0.5 - 2 * (number - 10) / SHAPE[1], abs=0.02)
        assert place.y == pytest.approx(0.25, abs=0.02)
        assert (place.colour, place.radius, place.time) == ("red", 0.1, None)


def test_a_hint_ends_where_its_place_leaves() -> None:
    frames = [(t / 25, thin) for t, thin in enumerate(clips.pan(30, step=4))]
    found = tracks.tracked(frames, [Hint(0.2, 0.5, "red", time=0)], SHAPE)
    assert found[3][0].colour == "red"
    assert [hint.colour for hint in found[25]] == [KEEP]
    assert tracks.tracked(frames, [Hint(0.2, 0.5, "red", time=99)], SHAPE) != {}
