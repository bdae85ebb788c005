"""Every command that README and docs tell of: read from there, and run or at least understood.

A block of `sh` is a list of commands. Each of them is

- run, where it takes no network and little time: `jaxcolor colorize`, `models`, `serve`, and curl
  against that server, `make` as a rehearsal (`make -n`), the lint of the contracts;
- or parsed, by the command's own parser, which refuses options that it lacks (`_PARSED` says why it
  is not run);
- or left (`_LEFT`, with the reason).

A command of none of these kinds fails the test: decide, and write it down here.
"""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import click.testing
import numpy as np
import pytest
from patience import HANG
from PIL import Image

import jaxcolor
from jaxcolor import weights
from jaxcolor.cli import main

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "MODEL_CARD.md", "SECURITY.md")),
        *(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts),
    ]
)

# Beginnings of commands that are only parsed, and why.
_PARSED = {
    "jaxcolor archive": "starts a cluster of Ray; tests/archive runs it",
    "jaxcolor film": "needs a film; tests/film runs it",
    "jaxcolor export": "tests/exporting runs it; the whole files take half a minute",
    "jaxcolor port": "fetches, or needs the published files; tests/porting runs it",
    "jaxcolor colorize s3:": "needs object storage; tests/album/test_storage.py runs it",
    "jaxcolor colorize examples/ -o s3:": "the same",
    "jaxcolor colorize photo.jpg --weights runs/": "needs a training that has ended",
    "python scripts/": "minutes to hours, or a folder of photos; each has tests of its own",
    ".venv/bin/python scripts/train.py": "a minute; tests/training/test_loop.py runs the recipe",
}
# Patterns of commands that are left alone, and why.
_LEFT = {
    r"(\.venv/bin/)?pip install .*": "installs",
    r"\.venv/bin/pre-commit install": "changes the clone",
    r"docker .*|podman .*|hadolint .*": "needs an engine for containers",
    r"moto_server .*|export AWS_.*": "needs a port of its own; test_storage.py has such a server",
    r"python -c [\s\S]*": "a program, not a command: boto3 against that server, or a measurement",
    r"\.venv/bin/(ruff|mypy|pytest|lint-imports).*": "is the suite itself, which runs this",
    r"hf upload .*": "publishes",
    r"duckdb .*": "its own program; tests/archive reads a report by its library",
    r"ray job submit .*": "needs a cluster",
}


@dataclasses.dataclass(frozen=True)
class Command:
    """A command as it stands on a page."""

    page: Path
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def commands() -> Iterator[Command]:
    """Those of all pages, one by one."""
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.S | re.M):
            text = ""
            for line in re.sub(r"\\\n\s*", "", block).splitlines():
                text += re.sub(r"\$[A-Z_]+", "3", line)
                try:
                    words = _words(text)
                except ValueError:  # a quotation that the next line ends
                    text += "\n"
                    continue
                text = ""
                for together, group in itertools.groupby(words, ("&&", "&", ";", "|").__contains__):
                    if not together:
                        yield Command(page, tuple(group))


def _words(text: str) -> list[str]:
    text = re.sub(r"(^|\s)# .*", "", text)
    lexer = shlex.shlex(text, posix=True, punctuation_chars="&;|")
    lexer.whitespace_split, lexer.commenters = True, ""
    return list(lexer)


def kind(command: Command) -> str:
    """What is done with a command: run, parsed or left."""
    if any(re.fullmatch(pattern, command.text) for pattern in _LEFT):
        return "left"
    if any(command.text.startswith(start) for start in _PARSED):
        return "parsed"
    if command.words[0] in ("jaxcolor", "curl", "make"):
        return "run"
    return "unknown"


ALL = list(dict.fromkeys(commands()))


def of_kind(wanted: str, *programs: str) -> list[object]:
    """One of each; several pages tell of the same."""
    chosen = [c for c in ALL if kind(c) == wanted and (not programs or c.words[0] in programs)]
    return [
        pytest.param(c, id=f"{c.page.relative_to(ROOT)}: {c.text[:60]}")
        for c in {c.words: c for c in chosen}.values()
    ]


def test_every_command_is_of_a_kind() -> None:
    assert len(ALL) > 40
    assert [f"{c.page.name}: {c}" for c in ALL if kind(c) == "unknown"] == []
    for reasons in (_PARSED, _LEFT):  # nothing is left on the lists that no page tells of
        for entry in reasons:
            found = [c for c in ALL if c.text.startswith(entry) or re.fullmatch(entry, c.text)]
            assert found, entry


# -- What the commands speak of --------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all files that the commands name, small."""
    monkeypatch.chdir(tmp_path)
    grey = np.random.default_rng(0).integers(0, 255, (12, 10), np.uint8)
    photo = Image.fromarray(grey).resize((500, 640))
    for name in (
        "grandmother.jpg",
        "photo.jpg",
        "album/a.jpg",
        "album/b/c.png",
        "PHOTOS/train/a.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        photo.save(tmp_path / name)
    (tmp_path / "PHOTOS" / "val").mkdir()
    (tmp_path / "FOLDER").mkdir()
    hints = '[{"x": 0.5, "y": 0.5, "colour": "navy"}]'
    (tmp_path / "colours.json").write_text(hints)
    for name in (
        *("L0", "Q", "R1", "R2", "T", "W", "X", "Y", "Z", "t1", "t2", "lite", "mine"),
        *(
            "newsreel.mp4",
            "newsreel.mkv",
            "B.safetensors",
            "TV.safetensors",
            "shipped.safetensors",
            "FILE",
            "astronaut.png",
            "coffee.png",
            "rocket.jpg",
        ),
    ):
        file = tmp_path / (
            name if "." in name or name == "FILE" else f"runs/{name}/weights.safetensors"
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for name in ("scripts", "configs", "examples", "docs", "jaxcolor", "MODEL_CARD.md", "Makefile"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def seen(file: Path) -> tuple[tuple[int, int], str]:
    """A picture's size and mode."""
    with Image.open(file) as picture:
        return picture.size, picture.mode


@pytest.fixture(scope="module")
def small() -> jaxcolor.Params:
    """One small square, one program: colours do not matter here."""
    return jaxcolor.load("lite").with_size(64)


# -- Run -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", of_kind("run", "jaxcolor"))
def test_commands_of_jaxcolor(
    command: Command, desk: Path, small: jaxcolor.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    if command.words[1] == "serve":
        pytest.skip("the next test serves")
    monkeypatch.setattr("jaxcolor.commands.load", lambda weights, size: small)
    before = {file for file in desk.rglob("*.*") if not file.is_symlink()}
    result = click.testing.CliRunner().invoke(main, command.words[1:])
    assert result.exit_code == 0, result.output
    if command.words[1] == "colorize":
        made = {file for file in desk.rglob("*.*") if not file.is_symlink()} - before
        assert made
        photos = (desk / "photo.jpg", *(ROOT / "examples").glob("*.jpg"))
        assert {seen(file) for file in made} <= {(seen(photo)[0], "RGB") for photo in photos}


@pytest.mark.slow
def test_the_server_and_curl(desk: Path, small: jaxcolor.Params) -> None:
    """`jaxcolor serve` and every curl of the pages, in real processes."""
    assert of_kind("run", "jaxcolor")
    curls = [c for c in ALL if c.words[0] == "curl" and kind(c) == "run"]
    assert len(curls) >= 3
    weights.save_params(desk / "small.safetensors", small)
    serve = [sys.executable, "-m", "jaxcolor", "serve", "--port", "0"]
    with subprocess.Popen(
        [*serve, "--weights", "small.safetensors"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://[\d.:]+", server.stdout.readline())
            assert address
            ready = ["--retry", "300", "--retry-delay", "1", f"{address[0]}/healthz"]
            subprocess.run(["curl", "--silent", "--fail", *ready], check=True, timeout=HANG)
            for command in curls:
                words = [
                    word.replace("http://127.0.0.1:8000", address[0]) for word in command.words
                ]
                subprocess.run([*words, "--silent", "--fail"], check=True, timeout=HANG)
                assert seen(desk / "grandmother.color.jpg") == ((500, 640), "RGB")
                (desk / "grandmother.color.jpg").unlink()
        finally:
            server.terminate()


@pytest.mark.parametrize("command", of_kind("run", "make"))
def test_rules_of_make(command: Command) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make here")
    subprocess.run([make, "-n", *command.words[1:]], cwd=ROOT, check=True, capture_output=True)


# -- Parsed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", of_kind("parsed"))
def test_options_are_there(command: Command, desk: Path) -> None:
    words: list[str | Path] = []
    for word in command.words:
        pattern = "PHOTOS/train/*" if word == "PHOTOS..." else word
        words += sorted(desk.glob(pattern)) or [word]
    words = [os.path.relpath(word) if isinstance(word, Path) else word for word in words]
    if words[0] == "jaxcolor":
        return parse(main, "jaxcolor", words[1:])
    script = Path(words[1]).stem
    assert (ROOT / "scripts" / f"{script}.py").is_file()
    if script == "train":
        return check_recipe(words[2:])
    if script == "benchmark":
        from benchmarks.commands import main as benchmark

        return parse(benchmark, script, words[2:])
    module = importlib.import_module(script)
    if hasattr(module, "main") and isinstance(module.main, click.Command):
        return parse(module.main, script, words[2:])
    assert len(words) == 2, f"{script} takes no options"
    return None


def parse(program: click.Command, name: str, words: list[str]) -> None:
    """Refuses what the program would refuse before it works."""
    context = program.make_context(name, list(words))
    if isinstance(program, click.Group):
        left = [*context._protected_args, *context.args]
        found, command, rest = program.resolve_command(context, left)
        assert command is not None
        with context:
            parse(command, str(found), rest)


def check_recipe(words: list[str]) -> None:
    """The recipe is there, and has the fields that the command sets."""
    options = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
    assert len(options) == len(words)
    recipe = importlib.import_module(options.pop("config").removesuffix(".py").replace("/", "."))
    config = recipe.get_config()
    options.pop("workdir")
    for name, value in options.items():
        head, *path = name.split(".")
        if head == "config":
            field = config
            for part in path:
                field = field[part]
            assert value
        else:
            assert head in ("coordinator", "processes", "process")


# -- docs/architecture.md: your first change -------------------------------------------------------


@pytest.mark.slow
def test_the_first_change_works(tmp_path: Path) -> None:
    """What the page says to write, written into a copy; its test, and the linter, run there."""
    page = (ROOT / "docs" / "architecture.md").read_text().split("## Your first change")[1]
    loss, test = re.findall(r"```python\n(.*?)```", page, re.S)
    for name in ("jaxcolor", "tests"):
        leave = shutil.ignore_patterns("weights", "golden", "__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=leave)
    (tmp_path / "jaxcolor" / "weights").symlink_to(ROOT / "jaxcolor" / "weights")
    for name in ("scripts", "configs", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    losses = tmp_path / "jaxcolor" / "training" / "losses.py"
    before, mark, after = losses.read_text().partition('@_trains("regression")\ndef huber')
    losses.write_text(f"{before}{loss}\n\n{mark}{after}")
    tests = tmp_path / "tests" / "training" / "test_step.py"
    tests.write_text(f"{tests.read_text()}\n\n{test}")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    words = [sys.executable, "-m", "pytest", "-n", "0", "-k", "absolute_error", tests]
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=HANG
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    lint = [sys.executable, "-m", "ruff"]
    subprocess.run([*lint, "check", losses, tests], cwd=tmp_path, check=True)
    subprocess.run([*lint, "format", "--check", losses, tests], cwd=tmp_path, check=True)
