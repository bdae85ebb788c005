"""The layers: a module imports only what stands below it, and importing stays light."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import draw_layers
import pytest
from check_wheel import messages_that_name_the_clone

import jaxcolor

PACKAGE = Path(jaxcolor.__file__).parent
ROOT = PACKAGE.parent


def test_imports_keep_to_the_contracts() -> None:
    """Those of pyproject.toml: layers, and packages that one module alone may import."""
    lint = "import sys; from importlinter.cli import lint_imports as lint;"
    done = subprocess.run(
        [sys.executable, "-c", f"{lint} sys.exit(lint(no_cache=True, no_logo=True))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_server_has_no_client() -> None:
    """The contracts see `http` as one; its constants are allowed, its client is not."""
    for file in (PACKAGE / "web").rglob("*.py"):
        assert "http.client" not in file.read_text(), file


def test_the_picture_of_the_layers_is_up_to_date() -> None:
    shown = (ROOT / "docs" / "images" / "layers.svg").read_text()
    assert shown == draw_layers.picture(), "python scripts/draw_layers.py"


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
        "commands = ('archive', 'colorize', 'film', 'serve');"
        "[main([command, '--help'], standalone_mode=False) for command in commands]"
    )
    assert not loaded & {"jax", "flax", "numpy", "PIL", "tensorflow", "pyarrow", "ray", "av", "cv2"}


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
