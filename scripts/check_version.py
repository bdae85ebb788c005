"""Checks that one version is named wherever a release names it.

python scripts/check_version.py          the files among themselves
python scripts/check_version.py v0.2.0   and with a tag; other names, as a branch's, are passed over
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_PLACES = {
    "jaxcolor/__init__.py": r'__version__ = "([^"]+)"',
    "CITATION.cff": r"^version: (\S+)$",
    "docs/cite.md": r"version *= \{([^}]+)\}",
    "CHANGELOG.md": r"^## (\S+)",
}


def versions(root: Path = ROOT) -> dict[str, str]:
    """What each file says; of the changelog, the newest."""
    found = {}
    for name, pattern in _PLACES.items():
        match = re.search(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        found[name] = match[1] if match else "none"
    return found


def main() -> None:
    """Print what is named where; the exit code is 1 if it differs."""
    named = versions()
    tag = sys.argv[1] if len(sys.argv) > 1 else ""
    if re.fullmatch(r"v\d.*", tag):
        named["the tag"] = tag[1:]
    print("\n".join(f"{version}\t{place}" for place, version in named.items()))
    if len(set(named.values())) > 1:
        sys.exit("check_version: these differ")


if __name__ == "__main__":
    main()
