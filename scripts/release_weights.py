"""Puts a training run's weights into the package, under a name, with what is known of them.

Several runs' weights, where each run went on from the one before, are averaged: the mean of such
weights is steadier than each of them (Wortsman et al. 2022, "Model soups", arXiv 2203.05482).

python scripts/release_weights.py runs/t1/weights.safetensors runs/t2/weights.safetensors pyramid \
    --saturation 1.17 --size 224 --mirrored --border 6 --told "corpus=5,697 photos, MODEL_CARD.md"

Or into a folder as the Hugging Face hub wants it, for `hf upload OWNER/NAME DIR`:

python scripts/release_weights.py runs/mine/weights.safetensors mine --hf DIR
python scripts/release_weights.py jaxcolor/weights/pyramid.safetensors pyramid --hf DIR \
    --card MODEL_CARD.md
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import click

from jaxcolor import hub
from jaxcolor.controls import SIZE

MOST_BYTES = 25_000_000  # of a file: all of them are installed by everybody
BYTES_A_VALUE = 2  # `weights.save` writes 16-bit floats
CARD = """# {name}

A colorizer of grey photographs, for [jaxcolor](https://pypi.org/project/jaxcolor/): it takes a
photo's lightness and invents its chroma.

The colours are plausible, and not those that were there. A result is no evidence of anything: say
that its colours are invented wherever you show it.
"""


@click.command()
@click.argument(
    "weights",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@click.argument("name")
@click.option(
    "--saturation",
    type=float,
    help="What prediction multiplies the chroma by: see docs/evaluation.md.",
)
@click.option("--size", type=int, help=SIZE)
@click.option(
    "--mirrored/--not-mirrored", default=None, help="Average over the photo and its mirror image."
)
@click.option(
    "--fitted/--squashed", default=None, help="In a shape near the photo's, without its margin."
)
@click.option(
    "--mended/--as-it-is", default=None, help="Without the photo's vignette, scratches and specks."
)
@click.option("--border", type=int, help="Samples of the rim, coloured from inside.")
@click.option(
    "--without-backbone", is_flag=True, help="Name the backbone that ships instead of holding it."
)
@click.option(
    "--told", multiple=True, metavar="KEY=TEXT", help="More for the file's header: corpus, hours."
)
@click.option("--folder", type=click.Path(path_type=Path), help="Instead of the package's own.")
@click.option(
    "--hf",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder for the Hugging Face hub instead: weights, config and model card.",
)
@click.option(
    "--card",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What the model card on the hub says.  [default: a few words]",
)
@click.option("--license", "terms", default="apache-2.0", show_default=True, help="On the hub.")
def main(
    weights: tuple[Path, ...],
    name: str,
    size: int | None,
    without_backbone: bool,
    told: tuple[str, ...],
    folder: Path | None,
    hf: Path | None,
    card: Path | None,
    terms: str,
    **prediction: Any,
) -> None:
    """Write the mean of WEIGHTS as NAME.safetensors.

    What it says of prediction stays as it is in WEIGHTS, where no option changes it.
    """
    import jax
    import numpy as np

    from jaxcolor import weights as files
    from jaxcolor.models.colorizer import split_trained

    words: dict[str, Any] = dict(item.split("=", 1) for item in told if "=" in item)
    if len(words) < len(told):
        raise click.UsageError("--told: write KEY=TEXT")
    if hf is None:
        target = (folder or Path(files.__file__).parent / "weights") / f"{name}.safetensors"
    else:
        hf.mkdir(parents=True, exist_ok=True)
        target = hf / hub.FILE
    try:
        header = files.read_header(weights[0]) if len(weights) == 1 else {}
        params, *others = (files.load(file).with_size(size) for file in weights)
        config = params.config.predicting(
            **{field: value for field, value in prediction.items() if value is not None}
        )
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    shapes = jax.tree.map(np.shape, params.variables)
    for file, other in zip(weights[1:], others, strict=True):
        if jax.tree.map(np.shape, other.variables) != shapes:
            raise click.UsageError(f"{file}: is of another network than {weights[0]}")
    trees = [one.variables for one in (params, *others)]
    variables = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *trees)
    held = variables
    if without_backbone:
        kept = split_trained(variables)[1]
        shipped = split_trained(files.with_backbone(files.load_backbone(config.backbone)))[1]
        if not jax.tree.all(jax.tree.map(np.array_equal, kept, shipped)):
            raise click.UsageError(f"{weights[0]}: its backbone is not {config.backbone} as it is")
        words["backbone_sha256"] = files.backbone_sha256(config.backbone)
        held = split_trained(variables)[0]
    size = BYTES_A_VALUE * sum(leaf.size for leaf in jax.tree.leaves(held))
    if size > MOST_BYTES and hf is None:
        raise click.UsageError(f"{weights[0]}: {size:,} bytes; at most {MOST_BYTES:,} are shipped")
    words |= {key: header[key] for key in ("step", "commit", "squared_error") if key in header}
    params = dataclasses.replace(params, config=config, variables=variables)
    try:
        files.save_params(target, params, **words)
    except OSError as error:
        raise click.UsageError(f"{target}: cannot be written ({error.strerror})") from None
    click.echo(f"{target}: {target.stat().st_size:,} bytes, {config}")
    if hf is not None:
        (hf / "config.json").write_text(json.dumps(config.to_json(), indent=2) + "\n")
        text = CARD.format(name=name) if card is None else _away_from_clone(card, hf)
        (hf / "README.md").write_text(_FRONT.format(terms=terms) + text + _USE)
        click.echo(f"to publish it: hf upload OWNER/{name} {hf}")


_FRONT = """---
library_name: jaxcolor
license: {terms}
pipeline_tag: image-to-image
tags:
- image-colorization
- jax
- flax
---

"""
_USE = """
## How to use it

```python
import jaxcolor  # pip install 'jaxcolor[hub]'

params = jaxcolor.load("hf://OWNER/NAME")  # the name of this repository
colour = jaxcolor.colorize(params, image)
```

The file holds numbers and a config, and no code.
"""


def _away_from_clone(card: Path, folder: Path) -> str:
    """A card's text whose pictures lie in the folder, and whose links to our files are words."""

    def picture(found: re.Match[str]) -> str:
        shutil.copy(card.parent / found[2], folder)
        return f"![{found[1]}]({Path(found[2]).name})"

    text = re.sub(r"!\[([^]]*)\]\(([^):]+)\)", picture, card.read_text(encoding="utf-8"))
    return re.sub(r"(?<!!)\[([^]]*)\]\([^):]+\)", r"\1", text)


if __name__ == "__main__":
    main()
