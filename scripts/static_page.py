"""Makes the page that needs no server: one folder, for a static host or a USB stick.

python scripts/static_page.py -o build/static
python scripts/static_page.py -o build/static --weights mine.safetensors

Needs Node with npm, for ONNX Runtime's WebAssembly and the bundler (`web-static/package.json`), and
`pip install -e '.[web,export]'`. `docs/static-page.md` says what the folder is.
"""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import jaxcolor
from jaxcolor import exporting, hints, image_io, refine
from jaxcolor.models.colorizer import NETWORKS
from jaxcolor.predict import framing, spread
from jaxcolor.web import page
from jaxcolor.web.settings import Settings

SOURCES = Path(__file__).parents[1] / "web-static"
MAX_PIXELS = 100_000_000  # of a photo: its canvas takes four bytes each, and browsers end near 2 GB
_WRITTEN = ("JPEG", "PNG")  # what every browser writes
_NEEDED = {"node_modules/esbuild", "node_modules/onnxruntime-web"}
_LARGE = 1000  # numbers: smaller arrays stay in float32
# All comes from the folder; WebAssembly is compiled, and the worker comes from the page itself.
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src blob:;"
    " style-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'none'"
)


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--weights", metavar="NAME|FILE", help="One of `jaxcolor models`, or a file.")
def main(output: Path, weights: str | None) -> None:
    """Write the folder; what it held is replaced."""
    make(output, jaxcolor.load(weights), Path(weights or jaxcolor.available_models()[0]).stem)
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    click.echo(f"{output / 'index.html'}: open it in a browser; the folder has {size / 1e6:.1f} MB")


def make(output: Path, params: jaxcolor.Params, name: str) -> None:
    """Writes the folder.

    Args:
      output: replaced if it is there.
      params: the colorizer.
      name: what the page calls it.

    Raises:
      FileNotFoundError: npm is not installed.
      subprocess.CalledProcessError: npm or the bundler failed; what they said is on stderr.
    """
    _install()
    shutil.rmtree(output, ignore_errors=True)
    static = output / "static"
    static.mkdir(parents=True)
    for file in page.STATIC.iterdir():
        if file.suffix in (".css", ".svg"):
            shutil.copy(file, static)
    shutil.copytree(page.STATIC / "examples", static / "examples")
    (output / "index.html").write_text(_html(), encoding="utf-8")
    subprocess.run(["node", "build.mjs", str(output.resolve())], cwd=SOURCES, check=True)
    model = halved(exporting.to_onnx(params))
    _write_part(output, "model", {"name": name, "facts": facts(params), "onnx": _packed(model)})
    examples = {
        file.name: base64.b64encode(file.read_bytes()).decode()
        for file in sorted((page.STATIC / "examples").iterdir())
    }
    _write_part(output, "examples", examples)


def _install() -> None:
    """What package-lock.json names, unless it is there."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm: not installed; it comes with Node")
    wanted = _versions(SOURCES / "package-lock.json")
    installed = _versions(SOURCES / "node_modules/.package-lock.json")  # npm keeps it
    if installed.keys() >= _NEEDED and installed.items() <= wanted.items():
        return
    words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run([npm, *words], cwd=SOURCES, check=True)


def _versions(lock: Path) -> dict[str, str]:
    """The versions of the packages in a file of npm's, by where they lie; none without a file."""
    if not lock.exists():
        return {}
    packages = json.loads(lock.read_text())["packages"]
    return {name: package["version"] for name, package in packages.items() if name}


def facts(params: jaxcolor.Params) -> dict[str, Any]:
    """What the page's arithmetic takes from here, so that it is said once."""
    config = params.config
    return {
        "model": {
            "fitted": config.prediction.fitted,
            "size": config.size,
            "inputSize": config.input_size,
            "multiple": NETWORKS[config.network].MULTIPLE,
        },
        "framing": _numbers(framing),
        "refine": _numbers(refine),
        "spread": _numbers(spread) | {"NEUTRAL": hints.NEUTRAL, "KEEP": hints.KEEP},
        "page": {"maxPixels": MAX_PIXELS},
    }


def _numbers(module: ModuleType) -> dict[str, Any]:
    """The constants of a module, without the underscore of those that are its own."""
    return {
        name.lstrip("_"): value
        for name, value in vars(module).items()
        if name.isupper()
        and isinstance(value, (int, float, tuple))
        and not isinstance(value, np.generic)
        and not (isinstance(value, tuple) and not all(isinstance(v, float) for v in value))
    }


def halved(data: bytes) -> bytes:
    """An ONNX file whose weights are stored in float16, and computed with in float32."""
    model = onnx.load_from_string(data)
    casts = []
    for array in model.graph.initializer:
        values = numpy_helper.to_array(array)
        if values.dtype != np.float32 or values.size < _LARGE:
            continue
        stored = f"{array.name}_stored"
        casts.append(helper.make_node("Cast", [stored], [array.name], to=TensorProto.FLOAT))
        array.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _html() -> str:
    return page.rendered(
        Settings().max_bytes,
        accept=("image/*",),
        formats=[format for format in image_io.WRITTEN if format.name in _WRITTEN],
        head=f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n',
        script="defer",
        privacy="Photos stay in this browser: the page sends nothing to anybody.",
    )


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def _write_part(output: Path, name: str, held: Any) -> None:
    """A script that hands the page what it holds: from a folder, a page may fetch nothing."""
    text = f"jaxcolorPart({json.dumps(name)}, {json.dumps(held)});\n"
    (output / "parts" / f"{name}.js").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
