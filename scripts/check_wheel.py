"""Is the wheel whole? Builds it, installs it where nothing else is, and uses it there.

python scripts/check_wheel.py

The environment is a new one outside of the clone: a photo is coloured and the server answers, from
another folder. And no message of the package names a file of the clone, which its users lack. The
exit code is 1, with a line for each fault, if anything is wrong.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "examples" / "black-canyon-1871.jpg"
_POLLS = 3000  # a tenth of a second apart: only a hang takes so long
_DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


# -- what it says ----------------------------------------------------------------------------------


def messages_that_name_the_clone(package: Path) -> list[str]:
    """Messages of a package, and texts of its page, that name what only a clone holds.

    Docstrings are for those who read the code, but a command's is its help. scripts/ is named
    nowhere: who is sent there wants to run one.

    Args:
      package: its folder.

    Returns:
      FILE:LINE and the words, of each.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [path.split("/") for path in listed.stdout.split("\0") if path]
    folders = {path[0] for path in paths if len(path) > 1} - {"jaxcolor"}
    files = {path[0] for path in paths if len(path) == 1}
    names = [f"{re.escape(folder)}/" for folder in sorted(folders)]
    names += [rf"{re.escape(file)}\b" for file in sorted(files)]
    named = re.compile(rf"(?<![\w./-])(?:{'|'.join(names)})[\w./-]*")
    found = []
    for file in sorted(package.rglob("*")):
        if file.suffix not in (".py", ".html", ".js", ".css"):
            continue
        content = file.read_text(encoding="utf-8")
        if file.suffix == ".py":
            texts = sorted(_strings(content))
        else:
            texts = [(n, line, True) for n, line in enumerate(content.splitlines(), 1)]
        for line, text, is_message in texts:
            for match in named.finditer(text):
                if is_message or match[0].startswith("scripts/"):
                    where = f"{file.relative_to(package)}:{line}"
                    found.append(f"{where}: {match[0].rstrip('.')}")
    return found


def _strings(code: str) -> Iterator[tuple[int, str, bool]]:
    """The line of each string, the string, and whether users see it."""
    tree = ast.parse(code)
    silent = set()
    for node in ast.walk(tree):
        if isinstance(node, _DEFINITIONS) and ast.get_docstring(node) is not None:
            decorators = getattr(node, "decorator_list", [])
            if not any("command" in ast.unparse(decorator) for decorator in decorators):
                silent.add(node.body[0].value)  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value, node not in silent


# -- what it does ----------------------------------------------------------------------------------


class _Faulty(Exception):
    """What is wrong with the wheel."""


def main() -> None:
    """Check a wheel that is there, or the one that this clone makes."""
    given = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as folder:
        try:
            _check(Path(folder), given)
        except _Faulty as fault:
            sys.exit(f"check_wheel: {fault}")
    print("check_wheel: the wheel is whole")


def _check(folder: Path, wheel: Path | None) -> None:
    if wheel is None:
        pip = (sys.executable, "-m", "pip")
        _run(*pip, "wheel", "-q", "--no-deps", "-w", folder, ROOT, cwd=folder)
        (wheel,) = folder.glob("jaxcolor-*.whl")
    _run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    _run(scripts / "python", "-m", "pip", "install", "-q", f"{wheel}[web]", cwd=folder)

    away = folder / "away"
    away.mkdir()
    where = "import jaxcolor; print(jaxcolor.__path__[0])"
    package = Path(_run(scripts / "python", "-c", where, cwd=away).strip())
    if not package.is_relative_to(folder.resolve()):
        raise _Faulty(f"jaxcolor is imported from {package}, not from the wheel")
    if named := messages_that_name_the_clone(package):
        raise _Faulty("messages name what a wheel does not hold:\n" + "\n".join(named))
    shutil.copy(PHOTO, away / "photo.jpg")
    _run(scripts / "jaxcolor", "colorize", "photo.jpg", "-o", "colour.png", cwd=away)
    chroma = (
        "import numpy as np; from PIL import Image;"
        "print(np.ptp(np.asarray(Image.open('colour.png')).astype(int), axis=-1).mean())"
    )
    if float(_run(scripts / "python", "-c", chroma, cwd=away)) < 1:
        raise _Faulty("colour.png: the photo has no colours")
    _run(scripts / "jaxcolor", "port", "--help", cwd=away)
    _serve(scripts / "jaxcolor", away)


def _serve(command: Path, away: Path) -> None:
    """Starts the server, waits until it is ready, and looks at all of its page."""
    words = [str(command), "serve", "--port", "0", "--weights", "pyramid"]
    with subprocess.Popen(
        words, cwd=away, env=_environment(away), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            if found is None:
                raise _Faulty(f"the server did not start: {line!r}")
            url = found[0]
            for _ in range(_POLLS):
                if _status(f"{url}healthz") == 200:
                    break
                if process.poll() is not None:
                    raise _Faulty("the server ended before it was ready")
                time.sleep(0.1)
            else:
                raise _Faulty("the server does not become ready")
            page = urllib.request.urlopen(url).read().decode()
            parts = sorted(set(re.findall(r'(?:src|href)="(static/[^"]+)"', page)))
            if not parts:
                raise _Faulty("the page names none of its parts")
            for part in parts:
                if _status(url + part) != 200:
                    raise _Faulty(f"{part} of the page is missing")
        finally:
            process.terminate()
    if os.name != "nt" and process.returncode != 0:
        raise _Faulty(f"the server ended with {process.returncode}")


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _environment(away: Path) -> dict[str, str]:
    """Of one who has no clone."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "JAXCOLOR_CACHE": str(away / "cache")}


def _run(*words: object, cwd: Path) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=_environment(cwd),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise _Faulty(f"{' '.join(map(str, words))}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
