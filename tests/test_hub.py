"""Weights from a hub, against a server on loopback that answers as the Hugging Face hub does."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import loopback
import numpy as np
import pytest

import jaxcolor
from jaxcolor import hub, weights
from jaxcolor.models import Config, Params

ROOT = Path(__file__).parents[1]
COMMITS = {"main": "a" * 40, "v1": "b" * 40}


class Hub(loopback.Server):
    """Repositories by their names: the files of each revision."""

    files: dict[tuple[str, str], bytes]  # by repository and revision
    sent: list[str]  # the paths of whole answers


class Handler(loopback.Handler):
    server: Hub

    def do_GET(self) -> None:
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        if match is None or all(repository != match[1] for repository, _ in self.server.files):
            return self.refuse("RepoNotFound")
        revision = {commit: name for name, commit in COMMITS.items()}.get(match[2], match[2])
        content = self.server.files.get((match[1], revision))
        if content is None:
            return self.refuse("RevisionNotFound")
        if match[3] != hub.FILE or not content:
            return self.refuse("EntryNotFound")
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMITS[revision])
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.server.sent.append(self.path)
            self.wfile.write(content)
        return None

    do_HEAD = do_GET

    def refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def colorizer(value: float) -> Params:
    leaf = np.full((3, 3, 1, 4), value, np.float32)
    return Params(Config().predicting(size=64), {"params": {"encoder": {"E1": {"kernel": leaf}}}})


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one repository of two revisions, and an empty cache."""
    from huggingface_hub import constants

    server = Hub(Handler)
    server.files, server.sent = {("them/empty", "main"): b""}, []
    for value, revision in enumerate(COMMITS, start=1):
        weights.save_params(tmp_path / "w.safetensors", colorizer(value))
        server.files["them/colours", revision] = (tmp_path / "w.safetensors").read_bytes()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    # huggingface_hub reads these from the environment when it is imported.
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with server.running():
        yield server


def kernel(params: Params) -> np.ndarray:
    return np.asarray(params.variables["params"]["encoder"]["E1"]["kernel"])


def test_weights_are_loaded_and_fetched_once(server: Hub) -> None:
    for _ in range(2):
        np.testing.assert_array_equal(kernel(jaxcolor.load("hf://them/colours")), 1)
    assert len(server.sent) == 1
    assert weights.describe("hf://them/colours").size == 64


def test_a_revision_is_a_branch_a_tag_or_a_commit(server: Hub) -> None:
    np.testing.assert_array_equal(kernel(jaxcolor.load("hf://them/colours@v1")), 2)
    np.testing.assert_array_equal(kernel(jaxcolor.load(f"hf://them/colours@{'a' * 40}")), 1)


def test_what_is_installed(server: Hub) -> None:
    shipped = {*weights.available_models(), "efficientnet_lite0"}
    assert shipped <= {one.name for one in weights.installed()}
    jaxcolor.load("hf://them/colours")
    jaxcolor.load("hf://them/colours@v1")
    found = {one.name: one for one in weights.installed()}
    assert {"hf://them/colours", "hf://them/colours@v1"} == found.keys() - shipped
    assert found["efficientnet_lite0"].kind == "backbone"
    for name, (_, kind, file) in found.items():
        load = weights.load if kind == "colorizer" else weights.load_backbone
        assert file.is_file()
        if name.startswith("hf:"):
            load(name)


def test_what_was_fetched_needs_no_network(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    jaxcolor.load("hf://them/colours")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    np.testing.assert_array_equal(kernel(jaxcolor.load("hf://them/colours")), 1)
    with pytest.raises(hub.HubError, match=r"them/other: cannot be reached, and lies in no cache"):
        jaxcolor.load("hf://them/other")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hf://them/nothing", "there is no such repository, or it is private"),
        ("hf://them/colours@v9", "the repository has no revision v9"),
        ("hf://them/empty", r"the repository has no model\.safetensors"),
    ],
)
def test_refusals_are_one_line(server: Hub, name: str, words: str) -> None:
    with pytest.raises(hub.HubError, match=f"^{re.escape(name)}: {words}") as error:
        jaxcolor.load(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["hf://", "hf://them", "hf://them/a/b", "hf://them/a@"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name on the hub is hf://OWNER/NAME"):
        jaxcolor.load(name)


def test_other_files_are_no_weights(server: Hub) -> None:
    server.files["them/empty", "main"] = b"a pickle, or what else"
    with pytest.raises(ValueError, match="not a safetensors file"):
        jaxcolor.load("hf://them/empty")
    assert "hf://them/empty" not in {one.name for one in weights.installed()}


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(hub.HubError, match=r"pip install 'jaxcolor\[hub\]'"):
        jaxcolor.load("hf://them/colours")
    assert hub.cached() == []


def test_released_to_the_hub_and_loaded_from_it(server: Hub, tmp_path: Path) -> None:
    """A real process for each: what the script writes, a server gives, and the command takes."""
    weights.save_params(tmp_path / "run.safetensors", colorizer(3), step=7)
    picture = tmp_path / "pictures" / "a.png"
    picture.parent.mkdir()
    picture.write_bytes(b"a picture")
    card = "# Mine\n\nSee [there](docs/a.md) and [that](https://example.org/a).\n\n![A](pictures/a.png)\n"
    (tmp_path / "CARD.md").write_text(card)
    folder = tmp_path / "mine"
    words = [tmp_path / "run.safetensors", "mine", "--hf", folder, "--card", tmp_path / "CARD.md"]
    script = ROOT / "scripts" / "release_weights.py"
    done = subprocess.run(
        [sys.executable, script, *words, "--license", "cc0-1.0", "--saturation", "1.2"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"hf upload OWNER/mine {folder}" in done.stdout
    assert {file.name for file in folder.iterdir()} == {
        *("README.md", "config.json", hub.FILE, "a.png")
    }
    from huggingface_hub import ModelCard

    written = ModelCard((folder / "README.md").read_text())
    assert written.data.to_dict() == {
        "library_name": "jaxcolor",
        "license": "cc0-1.0",
        "pipeline_tag": "image-to-image",
        "tags": ["image-colorization", "jax", "flax"],
    }
    assert "See there and [that](https://example.org/a).\n\n![A](a.png)\n" in written.text
    config = weights.describe(folder / hub.FILE)
    assert config == Config().predicting(size=64, saturation=1.2)
    assert json.loads((folder / "config.json").read_text()) == config.to_json()

    server.files["me/mine", "main"] = (folder / hub.FILE).read_bytes()
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    code = (
        "import sys, jaxcolor; from jaxcolor.cli import main;"
        "print(jaxcolor.load('hf://me/mine').config.prediction.saturation);"
        "main(['models', '--installed'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    assert first == "1.2"
    (line,) = [line for line in lines if line.startswith("hf:")]
    name, kind, size, file = line.split("\t")
    assert (name, kind, size) == ("hf://me/mine", "colorizer", "0.0 MB")
    assert Path(file).read_bytes() == server.files["me/mine", "main"]
