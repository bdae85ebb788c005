"""The protocol over real files, and the script that prints and writes its figures."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any

import click.testing
import evaluate
import imagecodecs
import numpy as np
import pytest
import sheet
import skimage.color
import skimage.metrics
import tiny_network
from PIL import Image, ImageCms

import jaxcolor
from jaxcolor import evaluation, image_io, weights


def tint(params: object, greys: list[np.ndarray], *, batch_size: int, red: int = 20) -> list:
    """A colorizer that costs nothing: some red for every photo."""
    assert len(greys) <= batch_size
    added = np.array([red, 0, 0])
    return [np.clip(grey + added, 0, 255).astype(np.uint8) for grey in greys]


@pytest.fixture
def tinted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Parameters of the colorizer that costs nothing."""
    monkeypatch.setattr(evaluation, "colorize_batch", tint)
    return jaxcolor.Params(*tiny_network.make(32))


@pytest.fixture
def mixed_folder(photo_folder: Path) -> Path:
    """Twelve photos in three groups, one grey and one damaged beside them."""
    with Image.open(photo_folder / "coffee" / "0.jpg") as image:
        image.convert("L").save(photo_folder / "grey.png")
    (photo_folder / "astronaut" / "bad.jpg").write_text("no picture")
    return photo_folder


def photos_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def scores_of(results: Any) -> list[evaluation.Score]:
    return [result for result in results if isinstance(result, evaluation.Score)]


# -- the protocol ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(300, 200), (200, 301), (64, 40), (256, 256)])
def test_the_central_square(width: int, height: int) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    expected = image.resize((256, 256), Image.Resampling.LANCZOS, box=box)
    np.testing.assert_array_equal(evaluation.central_square(image), expected)


def test_a_photo_is_read_as_people_see_it(photos, tmp_path: Path) -> None:
    """Deep, of another colour space, turned, transparent, moving: 8 bits of sRGB come out."""
    rgb = photos["coffee"][:60, :90]
    grey = rgb[..., 1].astype(np.uint16) * 257 + 100
    Image.fromarray(grey).save(tmp_path / "deep.png")
    adobe = bytes(imagecodecs.cms_profile("adobergb"))
    Image.fromarray(rgb).save(tmp_path / "adobe.png", icc_profile=adobe)
    transparent = Image.fromarray(rgb)
    transparent.putalpha(30)
    transparent.save(tmp_path / "transparent.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgb).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)
    frames = [Image.fromarray(rgb).quantize(64), Image.new("P", (90, 60))]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])

    as_srgb = ImageCms.profileToProfile(
        Image.fromarray(rgb),
        ImageCms.ImageCmsProfile(io.BytesIO(adobe)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    for name, expected, tolerance in (
        ("deep.png", np.repeat(rgb[..., 1:2], 3, axis=-1), 0),
        ("adobe.png", np.asarray(as_srgb), 1),
        ("transparent.png", rgb, 0),
        ("a.png", rgb, 0),
        ("moving.gif", np.asarray(frames[0].convert("RGB")), 0),
    ):
        got = evaluation.read_rgb(tmp_path / name)
        assert got.mode == "RGB"
        assert np.abs(np.asarray(got).astype(int) - expected).max() <= tolerance, name


def test_grey_keeps_lightness(photos) -> None:
    for photo in photos.values():
        truth = photo[:200, :200]
        grey = evaluation.grey_of(truth)
        assert (grey == grey[..., :1]).all()
        difference = skimage.color.rgb2lab(grey)[..., 0] - skimage.color.rgb2lab(truth)[..., 0]
        assert np.abs(difference).max() < 0.3


def test_the_prediction_is_what_users_get(params, photo_folder: Path) -> None:
    photos = photos_of(photo_folder)[::4]
    trials = list(evaluation.colorized(params, photos, batch_size=1))
    assert [trial.photo for trial in trials] == photos
    for trial in trials:
        with Image.open(trial.photo) as image:
            np.testing.assert_array_equal(trial.truth, evaluation.central_square(image))
        np.testing.assert_array_equal(trial.grey, evaluation.grey_of(trial.truth))
        np.testing.assert_array_equal(trial.prediction, jaxcolor.colorize(params, trial.grey))
        assert (trial.prediction != trial.grey).any()


@pytest.mark.parametrize("batch_size", [1, 5, 13, 14, 50])
def test_every_photo_once_whatever_the_batch(
    batch_size: int, tinted: Any, mixed_folder: Path
) -> None:
    photos = photos_of(mixed_folder)
    assert len(photos) == 14
    trials = evaluation.colorized(tinted, photos, batch_size=batch_size)
    seen = [t.photo if isinstance(t, evaluation.Trial) else t for t in trials]
    errors = [item for item in seen if isinstance(item, image_io.PhotoError)]
    assert [str(error) for error in errors] == [
        f"{photos[4]}: not a picture of any format known here"
    ]
    assert [item for item in seen if item not in errors] == photos[:4] + photos[5:]


def test_options_reach_the_colorizer(tinted: Any, photo_folder: Path) -> None:
    photos = photos_of(photo_folder)[:1]
    (plain,) = evaluation.evaluate(tinted, photos, red=0)
    assert plain.prediction.psnr == plain.grey.psnr
    assert plain.gain == 0


def test_means_are_those_of_scikit_image(tinted: Any, mixed_folder: Path) -> None:
    photos = photos_of(mixed_folder)
    summary = evaluation.Summary()
    for score in scores_of(evaluation.evaluate(tinted, photos)):
        summary.add(score)
        assert score.counts == (score.photo.name != "grey.png")
    assert (summary.counted, summary.nothing_to_colour) == (12, 1)
    means = summary.means()

    trials = evaluation.colorized(tinted, [photo for photo in photos if photo.parent.name in NAMES])
    trials = [trial for trial in trials if isinstance(trial, evaluation.Trial)]
    truths = np.stack([trial.truth for trial in trials])
    colourfulness = expected_colourfulness(truths)
    assert means["truth"]["colourfulness"] == pytest.approx(colourfulness, abs=1e-6)
    for kind in ("prediction", "grey"):
        pictures = np.stack([getattr(trial, kind) for trial in trials])
        expected = expected_means(pictures, truths)
        expected["dcf"] = abs(expected["colourfulness"] - colourfulness)
        for name, value in expected.items():
            assert means[kind][name] == pytest.approx(value, abs=2e-4), (kind, name)
    ours, grey, gain = means["prediction"], means["grey"], means["gain"]
    assert gain["psnr"] == pytest.approx(ours["psnr"] - grey["psnr"])
    assert gain["ciede2000_percent"] == pytest.approx(
        100 * (grey["ciede2000"] - ours["ciede2000"]) / grey["ciede2000"]
    )
    assert gain["colourfulness_percent"] == pytest.approx(
        100 * ours["colourfulness"] / colourfulness
    )


NAMES = ("astronaut", "chelsea", "coffee")


def expected_colourfulness(pictures: np.ndarray) -> float:
    r, g, b = np.moveaxis(pictures.astype(np.float64).reshape(len(pictures), -1, 3), -1, 0)
    rg, yb = r - g, (r + g) / 2 - b
    spread = np.hypot(rg.std(axis=1), yb.std(axis=1))
    return np.mean(spread + 0.3 * np.hypot(rg.mean(axis=1), yb.mean(axis=1)))


def expected_means(pictures: np.ndarray, truths: np.ndarray) -> dict[str, float]:
    """Each figure by another implementation: over photos, and raw accuracy over all pixels."""
    labs, true_labs = (skimage.color.rgb2lab(stack) for stack in (pictures, truths))
    distance = np.linalg.norm((labs - true_labs)[..., 1:], axis=-1)
    pairs = list(zip(pictures, truths, strict=True))
    return {
        "psnr": np.mean([skimage.metrics.peak_signal_noise_ratio(t, p) for p, t in pairs]),
        "ssim": np.mean(
            [
                skimage.metrics.structural_similarity(
                    t,
                    p,
                    channel_axis=-1,
                    gaussian_weights=True,
                    sigma=1.5,
                    use_sample_covariance=False,
                    data_range=255,
                )
                for p, t in pairs
            ]
        ),
        "ciede2000": skimage.color.deltaE_ciede2000(labs, true_labs).mean(),
        "colourfulness": expected_colourfulness(pictures),
        "auc": 1 - np.minimum(distance, 150).mean() / 150,
    }


def test_no_photo_to_count_is_an_error() -> None:
    with pytest.raises(ValueError, match="anything to colour"):
        evaluation.Summary().means()


def test_memory_does_not_grow_with_the_photos(tinted: Any, photo_folder: Path) -> None:
    def peak(count: int) -> int:
        """Bytes of NumPy's and Python's."""
        photos = (photos_of(photo_folder) * (count // 12 + 1))[:count]
        tracemalloc.start()
        summary = evaluation.Summary()
        for score in evaluation.evaluate(tinted, photos, batch_size=2):
            assert isinstance(score, evaluation.Score)
            summary.add(score)
        assert summary.counted == count
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)  # what is imported and compiled at first
    # Fifty photos more, and not one picture of each kept. What JAX has not let go yet varies.
    assert peak(60) - peak(10) < 25 * 256 * 256 * 3


def test_best_median_worst() -> None:
    ranked = [(float(i % 7) + i / 100, i) for i in range(40)]
    order = [item for _, item in sorted(ranked, reverse=True)]
    got = evaluation.best_median_worst(iter(ranked), 4)
    assert [label for label, _ in got] == ["best"] * 4 + ["median"] * 4 + ["worst"] * 4
    assert [item for _, item in got] == order[:4] + order[18:22] + order[-4:]
    for count in range(1, 14):
        some = evaluation.best_median_worst(ranked[:count], 4)
        assert len(some) == 3 * max(1, min(4, count // 3))
        assert count < 3 or len({item for _, item in some}) == len(some)


# -- the script ------------------------------------------------------------------------------------


def invoke(script: ModuleType, *arguments: object) -> click.testing.Result:
    """Runs a script in this process."""
    return click.testing.CliRunner().invoke(script.main, [str(a) for a in arguments])


def test_the_script_writes_what_it_prints(run, mixed_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "results" / "lite"
    arguments = ("--weights", "lite", "--data", mixed_folder, "--out", out, "--size", 64)
    (mixed_folder / "@eaDir").mkdir()
    for name in ("@eaDir/0.jpg", ".0.jpg"):  # passed over, as in albums
        (mixed_folder / name).write_bytes(b"a thumbnail")
    result = run(evaluate.__file__, *arguments)
    assert result.returncode == 0, result.stderr
    told = [line for line in result.stderr.splitlines() if "bad.jpg" in line]
    assert told == [
        f"evaluate: {mixed_folder}/astronaut/bad.jpg: not a picture of any format known here"
    ]
    assert sorted(path.name for path in out.iterdir()) == [
        "metrics.json",
        "photos.csv",
        "sheet.png",
    ]

    report = json.loads((out / "metrics.json").read_text())
    assert report["photos"] == {"found": 14, "counted": 12, "nothing_to_colour": 1, "damaged": 1}
    assert report["protocol"] == {"version": 2, "size": 256, "least_chroma": 4.0}
    assert report["options"] == {}
    shipped = Path(weights.__file__).parent / "weights" / "lite.safetensors"
    assert report["weights"]["name"] == "lite"
    assert report["weights"]["sha256"] == hashlib.sha256(shipped.read_bytes()).hexdigest()
    assert report["weights"]["config"] == {**weights.describe("lite").to_json(), "size": 64}

    first, _, psnr, *_ = result.stdout.splitlines()
    assert first == "14 photos: 12 counted, 1 with nothing to colour, 1 damaged"
    ours, grey = report["prediction"]["psnr"], report["grey"]["psnr"]
    assert psnr.split()[2:] == [f"{ours:.2f}", f"{grey:.2f}", f"{ours - grey:+.2f}"]

    with (out / "photos.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["photo"] for line in lines] == [
        *(f"{name}/{k}.jpg" for name in NAMES for k in range(4)),
        "grey.png",
    ]
    assert [line["group"] for line in lines] == [*(name for name in NAMES for _ in range(4)), ""]
    assert [line["counted"] for line in lines] == ["1"] * 12 + ["0"]
    for name in ("psnr", "ssim", "ciede2000", "colourfulness", "auc"):
        for column, kind in ((name, "prediction"), (f"grey_{name}", "grey")):
            mean = np.mean([float(line[column]) for line in lines[:12]])
            assert mean == pytest.approx(report[kind][name], rel=1e-5), column

    with Image.open(out / "sheet.png") as image:
        width, height = image.size
    assert width == 3 * 256 + 2 * 8
    assert height > 12 * 256


def test_the_sheet_shows_best_median_and_worst(
    tinted: Any, mixed_folder: Path, tmp_path: Path
) -> None:
    result = invoke(evaluate, "--data", mixed_folder, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    with (tmp_path / "photos.csv").open(newline="") as file:
        counted = [line for line in csv.DictReader(file) if line["counted"] == "1"]
    lines = sorted(counted, key=lambda line: -float(line["psnr_gain"]))
    with Image.open(tmp_path / "sheet.png") as image:
        pixels = np.asarray(image)
    top = 0
    for line in lines:  # the sheet has all twelve, four of each
        (trial,) = evaluation.colorized(tinted, [mixed_folder / line["photo"]])
        assert isinstance(trial, evaluation.Trial)
        row = np.concatenate([trial.grey, trial.prediction, trial.truth], axis=1)
        left = np.concatenate([np.arange(256) + i * (256 + 8) for i in range(3)])
        while not (pixels[top : top + 256, left] == row).all():
            top += 1
            assert top <= len(pixels) - 256, line["photo"]
        top += 256


def test_hints_are_true_colours(photos, params, photo_folder: Path) -> None:
    truth = photos["coffee"][:256, :256]
    hints = evaluation.true_hints(truth, 40)
    assert hints == evaluation.true_hints(truth, 40)
    assert hints != evaluation.true_hints(truth[::-1], 40)
    for hint in hints:
        x, y = int(hint.x), int(hint.y)
        if 3 <= x < 253 and 3 <= y < 253:
            mean = truth[y - 3 : y + 4, x - 3 : x + 4].mean(axis=(0, 1))
            assert np.abs(mean - hint.rgb).max() <= 0.5
    photo = photo_folder / "coffee" / "0.jpg"
    (one,) = evaluation.hinted(params, [photo], 20)
    assert isinstance(one, evaluation.Hinted)
    assert one.gain > 1
    assert one.distance < 2
    (few,) = evaluation.hinted(params, [photo], 1)
    assert isinstance(few, evaluation.Hinted)
    assert 0 < few.moved < one.moved <= 1
    (damaged,) = evaluation.hinted(params, [photo_folder / "astronaut" / "none.jpg"], 20)
    assert isinstance(damaged, image_io.PhotoError)


def test_controls_reach_the_colorizer_and_the_results(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, float]] = []

    def listen(params: object, greys: list[np.ndarray], *, batch_size: int, **options: Any) -> list:
        told.append(options)
        return tint(params, greys, batch_size=batch_size)

    monkeypatch.setattr(evaluation, "colorize_batch", listen)
    arguments = ("--data", photo_folder, "--out", tmp_path, "--weights", "lite")
    for controls in ({}, {"saturation": 1.25}, {"saturation": 0.0, "refine": 0.5}):
        told.clear()
        flags = [part for name, value in controls.items() for part in (f"--{name}", value)]
        assert invoke(evaluate, *arguments, *flags).exit_code == 0
        assert len(told) == 4  # two batches of photos, two of the sheet
        assert all(options == controls for options in told)
        assert json.loads((tmp_path / "metrics.json").read_text())["options"] == controls


def test_photos_of_every_suffix_are_found(tinted: Any, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    colours = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    for name in ("a.JPG", "b.tiff", "c.webp", "d.avif", "e.gif", "f.ppm", "g.tga"):
        Image.fromarray(colours).save(folder / name)
    (folder / "notes.txt").write_text("no photo")
    result = invoke(evaluate, "--data", folder)
    assert result.output.startswith("7 photos: 7 counted"), result.output


def test_a_second_run_does_not_measure_the_first_ones_sheet(
    tinted: Any, photo_folder: Path
) -> None:
    for _ in range(2):
        result = invoke(evaluate, "--data", photo_folder, "--out", photo_folder)
        assert result.output.startswith("12 photos: 12 counted"), result.output


def test_every_mistake_is_one_line_and_exit_code_two(
    tinted: Any, photo_folder: Path, tmp_path: Path
) -> None:
    grey, damaged, empty = (tmp_path / name for name in ("grey", "damaged", "empty"))
    for folder in (grey, damaged, empty):
        folder.mkdir()
    Image.new("L", (300, 200), 90).save(grey / "grey.png")
    (damaged / "bad.jpg").write_text("no picture")
    (empty / "notes.txt").write_text("no photo")
    file, out = empty / "notes.txt", tmp_path / "out"
    mistakes = {
        ("--data", tmp_path / "lost"): f"{tmp_path / 'lost'}: no such folder",
        ("--data", file): f"{file}: not a folder",
        ("--data", empty): f"{empty}: no photo in it",
        ("--data", grey): f"{grey}: no photo with anything to colour",
        ("--data", damaged): f"{damaged}: no photo with anything to colour",
        ("--data", photo_folder, "--weights", "nothing"): "nothing: no such weights file",
        ("--data", photo_folder, "--weights", file): f"{file}: not a safetensors file",
        ("--data", photo_folder, "--size", 100): "size: 100 is not a positive multiple",
        ("--data", photo_folder, "--saturation", -1): "saturation: -1.0 is not between 0 and 100",
        ("--data", photo_folder, "--refine", "nan"): "refine: nan is not between 0 and 1",
        ("--data", photo_folder, "--out", file): f"{file}: cannot be written",
    }
    for arguments, words in mistakes.items():
        if "--out" not in arguments:
            arguments = (*arguments, "--out", out)
        result = invoke(evaluate, *arguments)
        assert result.exit_code == 2, (arguments, result.output)
        told = [line for line in result.stderr.splitlines() if not line.startswith("evaluate: ")]
        assert len(told) == 1, result.stderr
        assert told[0].startswith(f"Error: {words}"), result.stderr
        assert not result.stdout
        assert not out.exists() or not list(out.iterdir())


def test_an_interrupted_run_leaves_no_file(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(params: object, greys: list[np.ndarray], *, batch_size: int) -> list:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "colorize_batch", interrupted)
    assert invoke(evaluate, "--data", photo_folder, "--out", tmp_path / "out").exit_code == 1
    assert not list((tmp_path / "out").iterdir())


def test_the_other_sheet(params, photo_folder: Path, tmp_path: Path) -> None:
    photos = [photo_folder / "coffee" / "0.jpg", photo_folder / "astronaut" / "1.jpg"]
    output = tmp_path / "sheet.png"
    result = invoke(sheet, *photos, "-o", output, "--width", 80)
    assert result.exit_code == 0, result.output
    with Image.open(output) as image:
        pixels = np.asarray(image).astype(int)
    heights = []
    for photo in photos:
        with Image.open(photo) as image:
            heights.append(round(80 * image.height / image.width))
    assert pixels.shape == (sum(heights) + 8, 2 * 80 + 8, 3)
    grey, colour = pixels[: heights[0], :80], pixels[: heights[0], 88:]
    assert (grey == grey[..., :1]).all()
    assert (colour != colour[..., :1]).any()
    assert (pixels[:, 80:88] == 255).all()
    result = invoke(sheet, tmp_path / "lost.jpg", "-o", output)
    assert result.exit_code == 2
    assert "lost.jpg: no such file" in result.stderr
