"""The garbage collector rests while a program begins, and only then.

That Keras waits is seen where TensorFlow is imported, in `training/test_library.py`.
"""

from __future__ import annotations

import gc

import pytest

from jaxcolor import startup


def test_it_rests_until_it_is_woken() -> None:
    with startup.collector_at_rest() as wake:
        assert not gc.isenabled()
        with startup.collector_at_rest() as too_early:
            too_early()
        assert not gc.isenabled()  # who came first decides
        wake()
        assert gc.isenabled()
    assert gc.isenabled()


def test_it_is_woken_at_the_end_whatever_comes() -> None:
    with pytest.raises(ValueError, match="in the middle"), startup.collector_at_rest():
        raise ValueError("in the middle")
    assert gc.isenabled()


def test_who_has_turned_it_off_is_obeyed() -> None:
    gc.disable()
    try:
        with startup.collector_at_rest() as wake:
            wake()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_has_come_meanwhile_stays() -> None:
    before = gc.get_freeze_count()
    with startup.collector_at_rest():
        kept = [[number] for number in range(1000)]
    assert gc.get_freeze_count() >= before + len(kept)
