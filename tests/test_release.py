"""What a release and its readers rely on: versions, forms, workflows, the checker of the site."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import check_site
import check_version
import pytest
import yaml

import jaxcolor

ROOT = Path(__file__).parents[1]


def test_one_version_everywhere(tmp_path: Path) -> None:
    assert set(check_version.versions().values()) == {jaxcolor.__version__}
    script = ROOT / "scripts" / "check_version.py"
    for tag, code in ((f"v{jaxcolor.__version__}", 0), ("main", 0), ("v99.0", 1)):
        assert subprocess.run([sys.executable, script, tag], capture_output=True).returncode == code


def test_the_citation_is_one() -> None:
    """The fields that the format 1.2.0 asks for."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert (
        citation["license"]
        == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    )
    for article in citation["references"]:
        assert {"type", "title", "authors"} <= article.keys()


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=str
)
def test_issue_forms_are_complete(form: Path) -> None:
    content = yaml.safe_load(form.read_text())
    if form.name == "config.yml":
        return
    assert {"name", "description", "body"} <= content.keys()
    for part in content["body"]:
        assert part["type"] in ("markdown", "textarea", "input", "dropdown", "checkboxes")
        assert "value" in part["attributes"] or {"label"} <= part["attributes"].keys()
    names = [part["id"] for part in content["body"] if "id" in part]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["ci", "release"])
def test_workflows_run_what_is_there(name: str) -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    words = " ".join(step.get("run", "") for step in steps).split()
    files = [word for word in words if re.fullmatch(r"(scripts|tests|\.ci)/[\w./-]+", word)]
    assert files
    for file in files:
        assert (ROOT / file).is_file(), file
    needs = [job.get("needs", []) for job in jobs.values()]
    for need in (one for given in needs for one in ([given] if isinstance(given, str) else given)):
        assert need in jobs
    publishing = [job for job in jobs.values() if "id-token" in str(job.get("permissions"))]
    assert all(job["if"] and job["environment"] for job in publishing)
    assert "password" not in str(jobs)


# -- The container ---------------------------------------------------------------------------------


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("no hadolint here")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_container_is_shut() -> None:
    """Two stages, no root, a read-only file system, a health check; extras that there are."""
    file = (ROOT / "Dockerfile").read_text()
    lines = [line for line in file.splitlines() if not line.startswith("#")]
    assert sum(line.startswith("FROM ") for line in lines) == 2
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1] not in ("0", "root")
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extras in re.findall(r"EXTRAS=([\w,]+)", file):
        assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert all(service["read_only"] for service in services.values())
    assert "ports" not in services["jaxcolor"]
    assert all(port.startswith("127.0.0.1:") for port in services["nginx"]["ports"])


def test_nginx_is_told_alike_everywhere() -> None:
    """What the guide says of nginx, the file that compose starts says too."""
    directive = re.compile(
        r"^\s*((?:client|large|proxy_(?!pass))[^;]*;|location = .*)", re.MULTILINE
    )
    guide = (ROOT / "docs" / "serving.md").read_text().split("```nginx")[1].split("```")[0]
    deployed = (ROOT / "deploy" / "nginx.conf").read_text()
    assert directive.findall(guide) == directive.findall(deployed)
    assert len(directive.findall(guide)) == 7


def test_the_checker_of_the_site_finds_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "there.png").write_bytes(b"a picture")
    (tmp_path / "b" / "two.html").write_text("<h1 id=here>Two</h1><a href=../one.html#top>up</a>")
    good = """<link rel=canonical href=https://example.org/><link rel=stylesheet href=s.css>
    <img src=there.png><img src=data:image/png;base64,x><a href=https://example.org>out</a>
    <a href=b/two.html#here>in</a><a href=mailto:a@example.org>mail</a>"""
    (tmp_path / "one.html").write_text(good)
    (tmp_path / "s.css").write_text("a{background:url(data:x)} b{background:url('there.png')}")
    assert list(check_site.faults(tmp_path)) == []
    bad = """<script src=https://cdn.example.org/a.js></script>
    <link rel=preload href=//f.org/a.woff>
    <img src=gone.png><a href=gone.html>x</a><a href=b/two.html#gone>y</a>
    <p style="background:url(http://example.org/a.png)">"""
    (tmp_path / "one.html").write_text(bad)
    (tmp_path / "s.css").write_text("@import 'https://fonts.example.org/css';")
    assert sorted(check_site.faults(tmp_path)) == [
        "one.html: asks another host: //f.org/a.woff",
        "one.html: asks another host: http://example.org/a.png",
        "one.html: asks another host: https://cdn.example.org/a.js",
        "one.html: has no gone.png",
        "one.html: leads nowhere: gone.html",
        "one.html: leads to no place there: b/two.html#gone",
        "s.css: asks another host: https://fonts.example.org/css",
    ]
