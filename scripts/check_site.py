"""Looks at the site that Sphinx has made of docs/: what a reader's browser would stumble over.

python scripts/check_site.py docs/_build/html

No page asks another host for anything when it is read (a link to click may lead there); every link
within the site leads to a page and to a place in it; every public name has its entry in the
reference; and the site is under 15 MB. The exit code is 1, with a line for each fault.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import urllib.parse
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import click

MOST_BYTES = 15_000_000
# What a browser fetches by itself, as it shows a page: attribute by tag.
_FETCHED = {
    **dict.fromkeys(("script", "img", "iframe", "embed", "audio", "video", "source"), "src"),
    "link": "href",
    "object": "data",
}
_SHOWN = ("canonical", "search", "next", "prev", "index", "author", "license")  # link rel= of words


class Page(HTMLParser):
    """What a page fetches, links to and can be linked at.

    Attributes:
      fetched: addresses that a browser asks for when it shows the page.
      links: addresses of links.
      places: what can stand behind a # in a link to the page.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Sorts a tag's addresses."""
        given = {name: value or "" for name, value in attrs}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        address = given.get(_FETCHED.get(tag, ""), "")
        if address and not (tag == "link" and given.get("rel", "") in _SHOWN):
            self.fetched.append(address)
        self.fetched += re.findall(r"url\(['\"]?([^'\")]+)", given.get("style", ""))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])


def faults(site: Path) -> Iterator[str]:
    """A line for each thing that is wrong with a site of HTML files."""
    pages = {
        file: Page(file.read_text(encoding="utf-8"))
        for file in sorted(site.rglob("*.html"))
        if "_static" not in file.relative_to(site).parts  # where a theme keeps its templates
    }
    for file, page in pages.items():
        name = file.relative_to(site)
        for address in page.fetched:
            if _is_outside(address):
                yield f"{name}: asks another host: {address}"
            elif not address.startswith("data:") and not _target(site, file, address).is_file():
                yield f"{name}: has no {address}"
        for address in page.links:
            parts = urllib.parse.urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = _target(site, file, address)
            if not target.is_file():
                yield f"{name}: leads nowhere: {address}"
            elif target in pages and urllib.parse.unquote(parts.fragment) not in (
                pages[target].places
            ):
                yield f"{name}: leads to no place there: {address}"
    for file in sorted(site.rglob("*.css")):
        for address in re.findall(r"(?:url\(|@import )['\"]?([^'\") ;]+)", file.read_text()):
            if _is_outside(address):
                yield f"{file.relative_to(site)}: asks another host: {address}"
    size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
    if size > MOST_BYTES:
        yield f"the site has {size:,} bytes, more than {MOST_BYTES:,}"


def _is_outside(address: str) -> bool:
    return address.startswith("//") or urllib.parse.urlsplit(address).scheme in ("http", "https")


def _target(site: Path, file: Path, address: str) -> Path:
    path = urllib.parse.unquote(urllib.parse.urlsplit(address).path)
    if not path:
        return file
    return (site / path.lstrip("/") if path.startswith("/") else file.parent / path).resolve()


# -- The reference ---------------------------------------------------------------------------------


def described(inventory: Path) -> dict[str, str]:
    """The Python names that a site has entries of, each with its kind, out of `objects.inv`."""
    packed = inventory.read_bytes().split(b"\n", 4)[4]
    lines = [line.split(" ") for line in zlib.decompress(packed).decode().splitlines()]
    return {line[0]: line[1].removeprefix("py:") for line in lines if line[1].startswith("py:")}


def undescribed(inventory: Path) -> Iterator[str]:
    """Public names of the modules of the reference that have no entry: as MODULE.NAME."""
    names = described(inventory)
    modules = [importlib.import_module(name) for name, kind in names.items() if kind == "module"]
    values = {id(getattr(m, n, None)) for m in modules for n in dir(m) if _name(m, n) in names}
    for module in modules:
        for name in getattr(module, "__all__", None) or _own(module):
            value = getattr(module, name)
            home = f"{getattr(value, '__module__', module.__name__)}.{name}"
            # A name that is handed on has its entry where it is from, or where it is handed on.
            given = _name(module, name) in names or home in names or id(value) in values
            if not given and not name.startswith("_"):
                yield _name(module, name)


def _name(module: ModuleType, name: str) -> str:
    return f"{module.__name__}.{name}"


def _own(module: ModuleType) -> list[str]:
    """The classes and functions that a module defines."""
    return [
        name
        for name, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isroutine(value))
        and getattr(value, "__module__", "") == module.__name__
        and not name.startswith("_")
    ]


@click.command()
@click.argument("site", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(site: Path) -> None:
    """Check the site in the folder SITE."""
    site = site.resolve()
    found = [*faults(site)]
    found += [f"the reference lacks {name}" for name in undescribed(site / "objects.inv")]
    for fault in found:
        click.echo(f"check_site: {fault}", err=True)
    if found:
        sys.exit(1)
    size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
    click.echo(f"check_site: {site} is whole, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
