"""The layers: a module imports only what stands below it, and importing stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from check_wheel import messages_that_name_the_clone

import jaxcolor

PACKAGE = Path(jaxcolor.__file__).parent
# From the bottom up; a module may import its own layer and those before it.
LAYERS = (
    ("atomic", "cache", "fetch", "compilation", "color", "controls", "image_io", "metrics"),
    ("storage", "hints", "strokes"),
    ("models",),
    ("porting", "weights", "refine", "predict"),
    ("training", "evaluation", "robustness", "exporting", "engine"),
    ("album",),
    ("commands", "archive"),
    ("cli", "web", "__main__", "__init__"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def imports(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.relative_to(PACKAGE))
)
def test_imports_only_what_stands_below(file: Path) -> None:
    home = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name in imports(file):
        parts = name.split(".")
        if parts[0] == "jaxcolor" and len(parts) > 1 and parts[1] in RANK:
            assert RANK[parts[1]] <= RANK[home], f"{home} imports {name}"
        if parts[0] in ("tensorflow", "optax", "orbax", "ml_collections"):
            assert home == "training" or (home, name) == ("exporting", "tensorflow"), (
                f"{home} imports {name}"
            )
        if parts[0] in ("fastapi", "starlette", "pydantic", "uvicorn", "prometheus_client"):
            assert home == "web", f"{home} imports {name}"
        if parts[0] == "onnx":
            assert home == "exporting", f"{home} imports {name}"
        if parts[0] == "obstore":
            assert home == "storage", f"{home} imports {name}"
        if parts[0] in ("ray", "pyarrow"):
            assert home == "archive", f"{home} imports {name}"
        # The server fetches nothing: it has nothing to fetch with.
        if home == "web":
            assert parts[0] not in ("urllib", "httpx", "requests", "aiohttp")
            assert name not in ("http.client", "jaxcolor.fetch")


def loaded_after(code: str) -> set[str]:
    code += "; import sys; print('\\n'.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in result.stdout.split()}


def test_no_message_names_what_only_a_clone_holds(tmp_path: Path) -> None:
    assert messages_that_name_the_clone(PACKAGE) == []
    code = """
    'See docs/a.md, or scripts/a.py.'
    def f():
        'See docs/b.md.'
        print(f'{1}: run tests/c.py or /docs/d.md; Makefile; Makefiles')
    @click.command()
    def g():
        'See README.md.'
    """
    (tmp_path / "a.py").write_text(textwrap.dedent(code))
    (tmp_path / "a.html").write_text("<a href=docs/e.md>\n<img src=static/examples/f.jpg>")
    assert messages_that_name_the_clone(tmp_path) == [
        "a.html:1: docs/e.md",
        "a.py:2: scripts/a.py",
        "a.py:5: tests/c.py",
        "a.py:5: Makefile",
        "a.py:8: README.md",
    ]


def test_importing_is_light() -> None:
    loaded = loaded_after("import jaxcolor; jaxcolor.load; jaxcolor.colorize")
    assert "jax" in loaded
    assert not loaded & {"tensorflow", "keras", "optax", "orbax", "ml_collections", "h5py", "torch"}
    assert not loaded & {"fastapi", "uvicorn", "pydantic", "prometheus_client"}
    loaded = loaded_after("import jaxcolor")
    assert not loaded & {"tensorflow", "optax", "orbax", "jax", "flax"}


def test_help_needs_no_jax() -> None:
    loaded = loaded_after(
        "from jaxcolor.cli import main;"
        "[main([command, '--help'], standalone_mode=False)"
        " for command in ('archive', 'colorize', 'serve')]"
    )
    assert not loaded & {"jax", "flax", "numpy", "PIL", "tensorflow", "pyarrow", "ray"}


def test_an_album_that_is_done_needs_no_jax(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("a.jpg", "b.png", "out/a.jpg", "out/b.png"):
        (tmp_path / name).write_bytes(b"not looked at")
    words = ["colorize", str(tmp_path), "-o", str(tmp_path / "out")]
    loaded = loaded_after(f"from jaxcolor.cli import main; main({words}, standalone_mode=False)")
    assert not loaded & {"jax", "flax", "tensorflow"}


def test_every_public_name_is_there() -> None:
    for name in jaxcolor.__all__:
        assert getattr(jaxcolor, name) is not None
    for name in ("album", "evaluation", "porting", "refine", "training"):
        assert getattr(jaxcolor, name).__name__ == f"jaxcolor.{name}"
    with pytest.raises(AttributeError, match="no attribute 'colourise'"):
        jaxcolor.colourise  # noqa: B018
