"""Draws the modules of jaxcolor in their layers, and who imports whom, as docs/images/layers.svg.

python scripts/draw_layers.py

The layers are those of pyproject.toml that import-linter holds; the modules and their imports are
grimp's, out of the code. An import that another one implies (a imports b, which imports c) has no
line of its own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "images" / "layers.svg"
WIDTH, ROW, BOX, LEFT = 900, 96, 34, 20  # pixels
LETTER = 7.6  # pixels of a letter's width at 13 pixels
NAMED = {  # what a layer is called in docs/data-flow.md, by its first module
    "__main__": "",
    "cli": "doors",
    "commands": "many machines, films",
    "album": "many files",
    "training": "learning, pipeline, export",
    "jobs": "one photo",
    "porting": "weights, prediction",
    "models": "networks",
    "storage": "elsewhere, by hand",
    "atomic": "files, colours, figures",
}


def layers() -> list[list[str]]:
    """The modules of each layer, from the top down."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = (c for c in contracts["contracts"] if c["id"] == "layers")
    return [[name.strip() for name in line.split(":")] for line in contract["layers"]]


def imports() -> dict[str, set[str]]:
    """What each part of the package imports of the others, without what that implies."""
    graph = grimp.build_graph("jaxcolor", cache_dir=None)
    parts = {name.split(".")[1] for name in graph.modules if "." in name}
    direct: dict[str, set[str]] = {part: set() for part in parts}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = [name.split(".")[1] for name in (module, imported) if "." in name]
            if len(pair) == 2 and pair[0] != pair[1]:
                direct[pair[0]].add(pair[1])
    return {
        part: {one for one in used if not any(_reaches(direct, o, one) for o in used - {one})}
        for part, used in direct.items()
    }


def _reaches(direct: Mapping[str, set[str]], start: str, end: str) -> bool:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        here = waiting.pop()
        if here == end:
            return True
        if here not in seen:
            seen.add(here)
            waiting += direct[here]
    return False


def picture() -> str:
    """The SVG's text, the same for the same code."""
    rows, lines = layers(), imports()
    height = ROW * len(rows) - (ROW - BOX) + 2 * LEFT
    places: dict[str, tuple[float, float, float]] = {}  # the middle, the top, the width
    parts = []
    for number, row in enumerate(rows):
        top = LEFT + ROW * number
        widths = [LETTER * len(name) + 18 for name in row]
        free = (WIDTH - 2 * LEFT - sum(widths)) / (len(row) + 1)
        left = LEFT + free
        for name, width in zip(row, widths, strict=True):
            places[name] = (left + width / 2, top, width)
            left += width + free
        parts.append(f'<text class="layer" x="{LEFT}" y="{top - 9}">{escape(NAMED[row[0]])}</text>')
    for name in sorted(places):
        for other in sorted(lines.get(name, ())):
            parts.append(_line(places[name], places[other]))
    for name, (middle, y, width) in places.items():
        parts.append(
            f'<rect x="{middle - width / 2:.1f}" y="{y}" width="{width:.1f}" height="{BOX}"/>'
            f'<text class="name" x="{middle:.1f}" y="{y + 22}">{escape(name)}</text>'
        )
    style = (
        "text{font:13px ui-monospace,monospace;fill:#1d2733}.name{text-anchor:middle}"
        ".layer{font:italic 12px sans-serif;fill:#5b6b7c}"
        "rect{fill:#eef3f8;stroke:#7b93ab;rx:6px}path{fill:none;stroke:#9aaabb;stroke-width:1.2}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
        f"<title>The modules of jaxcolor in their layers; a line leads down to what is imported"
        f'</title><style>{style}</style><rect x="0" y="0" width="{WIDTH}" height="{height}" '
        f'style="fill:#fff;stroke:none"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _line(start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    """From below a box to above another; within a layer, a bow below both."""
    (x1, y1, _), (x2, y2, _) = start, end
    if y1 == y2:
        y = y1 + BOX
        return f'<path d="M{x1:.1f} {y} Q{(x1 + x2) / 2:.1f} {y + 30} {x2:.1f} {y}"/>'
    y1 += BOX
    bend = (y2 - y1) / 2
    return f'<path d="M{x1:.1f} {y1} C{x1:.1f} {y1 + bend} {x2:.1f} {y2 - bend} {x2:.1f} {y2}"/>'


if __name__ == "__main__":
    TARGET.write_text(picture())
