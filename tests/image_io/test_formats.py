"""What is known of each format agrees with Pillow, and is told without loading anything."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import Image

from jaxcolor import image_io
from jaxcolor.image_io.formats import own_format

Image.init()


@pytest.mark.parametrize("format", image_io.WRITTEN, ids=lambda format: format.name)
def test_media_types_and_suffixes_are_pillows(format: image_io.Format) -> None:
    assert Image.MIME[format.name] == format.media_type
    known = Image.registered_extensions()
    for suffix in (*format.suffixes, *format.read_suffixes):
        assert known.get(suffix, format.name) in (format.name, "MPO", "DIB")
    assert own_format(format.name) is format
    assert image_io.result_suffix(f"a{format.suffixes[-1]}") == format.suffixes[-1]


def test_suffixes_mean_one_format() -> None:
    suffixes = [s for f in image_io.FORMATS for s in (*f.suffixes, *f.read_suffixes)]
    assert len(suffixes) == len(set(suffixes)) == len(image_io.PHOTO_SUFFIXES)
    assert {image_io.result_suffix(f"a{suffix}") for suffix in suffixes} == set(image_io.SUFFIXES)
    for photo, result in ((".mpo", ".jpg"), (".HEIC", ".jpg"), (".gif", ".png"), (".dib", ".bmp")):
        assert image_io.result_suffix(f"a{photo}") == result


def test_lists_in_words() -> None:
    assert image_io.listed(["a"]) == "a"
    assert image_io.listed(["a", "b"], "or") == "a or b"
    assert image_io.listed("abc") == "a, b and c"


def test_formats_are_told_without_loading_anything() -> None:
    code = "from jaxcolor import image_io; image_io.NAMES, image_io.FORMATS; import sys"
    code += "; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "PIL", "tifffile"} & set(done.stdout.split())
    assert set(image_io.__all__) <= set(dir(image_io))
    with pytest.raises(AttributeError, match="no attribute 'open_foto'"):
        image_io.open_foto  # noqa: B018
