"""How Sphinx makes the site of docs/: `make docs`, with warnings as errors.

Every type in a signature is a link, or the build fails (`nitpicky`): ours within the site, others'
by `_ELSEWHERE`, as inventories of other projects would have to be fetched.
"""

from __future__ import annotations

import os
import re
import sys
import typing
from pathlib import Path
from typing import Any

from docutils import nodes

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the package of this clone, whatever is installed
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
typing.GENERATING_DOCUMENTATION = "jaxcolor"  # type: ignore[attr-defined]  # asked by jaxtyping

import jaxcolor  # noqa: E402
import jaxcolor.web.server  # noqa: E402

jaxcolor.web.server.Params = jaxcolor.Params  # type: ignore[attr-defined]  # for its annotations

project = "jaxcolor"
author = "The jaxcolor maintainers"
copyright = "The jaxcolor maintainers, Apache-2.0"
version = release = jaxcolor.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
_PAGES_OF_FILES = {  # files of the clone that are pages of the site
    "MODEL_CARD.md": "model-card.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
nitpicky = True

# -- Markdown and notebooks ------------------------------------------------------------------------

myst_enable_extensions = ["attrs_inline", "colon_fence"]
myst_heading_anchors = 3  # as on GitHub: serving.md#your-colours
nb_execution_mode = "cache"  # a notebook that did not change is not run again
nb_execution_cache_path = str(ROOT / "docs" / "_build" / "cache")
nb_execution_in_temp = True  # mine.safetensors and the like are not left in docs/
nb_execution_timeout = 600  # only a hang takes so long
nb_execution_raise_on_error = True
nb_merge_streams = True

# -- The reference ---------------------------------------------------------------------------------

autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style"), ("Class attributes", "params_style")]
napoleon_use_rtype = False
maximum_signature_line_length = 88

_JAX = "https://docs.jax.dev/en/latest/"
_SHAPES = "https://docs.kidger.site/jaxtyping/api/array/"
_ELSEWHERE = {
    "Path": "https://docs.python.org/3/library/pathlib.html#pathlib.Path",
    "Array": f"{_JAX}_autosummary/jax.Array.html",
    "jax.Array": f"{_JAX}_autosummary/jax.Array.html",
    "Future": "https://docs.python.org/3/library/concurrent.futures.html#future-objects",
    "jax.jaxlib._jax.Array": f"{_JAX}_autosummary/jax.Array.html",
    "jaxlib._jax.Array": f"{_JAX}_autosummary/jax.Array.html",
    "jax._src.mesh.Mesh": f"{_JAX}jax.sharding.html#jax.sharding.Mesh",
    "jax.numpy.float32": f"{_JAX}_autosummary/jax.numpy.float32.html",
    "flax.linen.module.Module": "https://flax-linen.readthedocs.io/en/latest/api_reference/flax.linen/module.html",
    "optax._src.base.GradientTransformation": "https://optax.readthedocs.io/en/latest/api/transformations.html",
    "ml_collections.config_dict.config_dict.ConfigDict": "https://ml-collections.readthedocs.io/en/latest/config_dict.html",
    "tensorflow.python.framework.tensor.Tensor": "https://www.tensorflow.org/api_docs/python/tf/Tensor",
    "PIL.Image.Image": "https://pillow.readthedocs.io/en/stable/reference/Image.html#PIL.Image.Image",
    "uvicorn.server.Server": "https://www.uvicorn.org/",
    "uvicorn.Server": "https://www.uvicorn.org/",
    **dict.fromkeys(("Float", "Int", "Real", "Shaped", "Bool", "Num"), _SHAPES),
    **dict.fromkeys(("Float32", "Float64", "Int32", "Int64", "UInt8", "UInt32"), _SHAPES),
}


def _elsewhere(name: str) -> str | None:
    """Where a name that is not ours is explained."""
    name = name.partition("[")[0]
    name = re.sub(
        r"^np\.|^ndarray$", lambda found: {"np.": "numpy."}.get(found[0], "numpy.ndarray"), name
    )
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    first = name.split(".")[0]
    if first == "numpy":
        if name in ("numpy.number", "numpy.floating"):
            return f"https://numpy.org/doc/stable/reference/arrays.scalars.html#{name}"
        return f"https://numpy.org/doc/stable/reference/generated/{name}.html"
    if first in sys.stdlib_module_names and "." in name:
        module = name.rpartition(".")[0]
        return f"https://docs.python.org/3/library/{module}.html#{name}"
    return None


def _find(_app: Any, env: Any, node: Any, shown: Any) -> Any:
    """A link for a type that no page of ours describes; None makes a warning."""
    name = node.get("reftarget", "")
    if node.get("refdomain") != "py":
        return None
    if name.startswith(("'", '"')) or " " in name:  # a shape in Float[Array, "h w"], or words
        return shown
    if url := _elsewhere(name):
        return nodes.reference("", "", shown, internal=False, refuri=url, classes=["elsewhere"])
    return None


# -- How it looks ----------------------------------------------------------------------------------

html_theme = "sphinx_book_theme"
html_title = f"jaxcolor {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "home_page_in_toc": False,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_navbar_depth": 1,
}


# -- Changes to what Sphinx finds ------------------------------------------------------------------


def _as_code(
    _app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    """Docstrings are Markdown in this one respect: `code`. Bars are bars."""
    text = re.sub(r"(?<!`)`([^`]+)`(?!`)(\w?)", _code, "\n".join(lines))
    lines[:] = re.sub(r"\|(?=\w+\|)", r"\\|", text).split("\n")


def _code(found: re.Match[str]) -> str:
    return f"``{found[1]}``" + (f"\\ {found[2]}" if found[2] else "")


def _without_flax(
    _app: Any,
    _what: str,
    _name: str,
    _object: Any,
    _options: Any,
    signature: str | None,
    returned: Any,
) -> tuple[str | None, Any]:
    """What every Flax module takes is said by Flax."""
    if signature is not None:
        signature = re.sub(r"(, )?parent: .*?, name: str \| None = None", "", signature)
        signature = signature.replace("(, ", "(")
    return signature, returned


def _skip(
    _app: Any, _what: str, name: str, value: Any, skipped: bool, _options: Any
) -> bool | None:
    """Fields of named tuples are described where the tuple is."""
    if str(getattr(value, "__doc__", "")).startswith("Alias for field number"):
        return True
    return None


def _site_links(_app: Any, name: str, source: list[str]) -> None:
    """Links that hold in a clone, as they hold on the site; and the list of the decisions."""
    up = "../" * (name.count("/") + 1)
    for file, page in _PAGES_OF_FILES.items():
        source[0] = source[0].replace(f"]({up}{file}", f"]({up[3:]}{page}")
    if name == "decisions/README":  # the folder's page in a clone, where no contents are listed
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"


def _write_notebooks(app: Any) -> None:
    """The notebooks as files for Jupyter and Colab, without output."""
    import jupytext

    for text in sorted((ROOT / "docs" / "notebooks").glob("*.md")):
        target = Path(app.outdir) / "notebooks" / f"{text.stem}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        jupytext.write(jupytext.read(text), target)


def _without_maps(app: Any, _error: Exception | None) -> None:
    """The themes bring maps for those who debug their scripts: a third of the site."""
    for file in (Path(app.outdir) / "_static").rglob("*.map"):
        file.unlink()


def setup(app: Any) -> None:
    """Hooks the above in."""
    app.connect("missing-reference", _find)
    app.connect("autodoc-process-docstring", _as_code)
    app.connect("autodoc-process-signature", _without_flax)
    app.connect("autodoc-skip-member", _skip)
    app.connect("source-read", _site_links)
    app.connect("builder-inited", _write_notebooks)
    app.connect("build-finished", _without_maps)
