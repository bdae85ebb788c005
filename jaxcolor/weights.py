"""Weights that travel: safetensors files with the model's config in the header.

A file is a flat map from `collection/module/.../leaf` to an array, and one metadata entry
`jaxcolor`: the config as JSON. So a file alone is enough to colorize, and reading one never runs
code from it (no pickle). Arrays lie in the file as float16 and in memory as float32; only a ported
Inception-ResNet-v2 lies there as float32, so that it can be checked against the original closely.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors
import safetensors.numpy
from flax import traverse_util

from jaxcolor import hub
from jaxcolor.atomic import open_whole
from jaxcolor.cache import cache_dir
from jaxcolor.models.backbones import BACKBONES
from jaxcolor.models.colorizer import Config, Params, join_trained, split_trained

_SHIPPED = Path(__file__).with_suffix("")  # jaxcolor/weights/, the files inside the package
_DEFAULT = "pyramid"
_HEADER = "jaxcolor"

Variables = dict[str, Any]


def available_models() -> tuple[str, ...]:
    """Names of the colorizers that ship inside the package, the default one first."""
    names = [path.stem for path in _SHIPPED.glob("*.safetensors") if _kind(path) == "colorizer"]
    return tuple(sorted(names, key=lambda name: (name != _DEFAULT, name)))


class Installed(NamedTuple):
    """Weights that lie on this machine.

    Attributes:
      name: what `load` or, for a backbone, `load_backbone` takes.
      kind: `colorizer` or `backbone`.
      file: where they lie.
    """

    name: str
    kind: str
    file: Path


def installed() -> tuple[Installed, ...]:
    """All weights that need no network: that ship, that were ported, that came from the hub."""
    shipped = [(name, _SHIPPED / f"{name}.safetensors") for name in available_models()]
    backbones = [(name, backbone_file(name)) for name in sorted(BACKBONES)]
    found = []
    for name, file in (*shipped, *backbones, *hub.cached()):
        try:
            found.append(Installed(name, _kind(file), file))
        except (OSError, ValueError):  # none is there, or other weights than ours
            continue
    return tuple(found)


def load(name_or_path: str | os.PathLike[str] | None = None) -> Params:
    """Loads a colorizer: everything that `colorize` needs, as one pytree.

    Args:
      name_or_path: a name out of `available_models()`; the path of a `.safetensors` file that
        training wrote; or hf://OWNER/NAME, weights on the Hugging Face hub (extra `hub`), which are
        fetched once. Without it, the best that ships.

    Returns:
      The network's variables (float32) with its static config.

    Raises:
      FileNotFoundError: there is neither such a name nor such a file; or the file leaves out its
        backbone, and that is not in the cache.
      HubError: the hub's file cannot be had.
      ValueError: the file is not a colorizer's weights, or the backbone in the cache is another.
    """
    path = locate(name_or_path)
    variables, header = _read_kind(path, "colorizer")
    config = _config(path, header)
    if checksum := header.get("backbone_sha256"):
        backbone = _read_left_out(path, config.backbone, checksum)
        variables = join_trained(variables["params"], with_backbone(backbone))
    return Params(config, jax.device_put(variables))  # `jnp.asarray` would compile for each shape


def describe(name_or_path: str | os.PathLike[str]) -> Config:
    """A colorizer's config, without reading its arrays.

    Raises:
      FileNotFoundError, ValueError: as `load`.
    """
    path = locate(name_or_path)
    return _config(path, read_header(path))


def load_backbone(name_or_path: str | os.PathLike[str]) -> Variables:
    """Loads a backbone's variables.

    Args:
      name_or_path: a name, of one that ships or of one that `jaxcolor port` has put into the cache
        folder; or the path of a file that it wrote.

    Raises:
      FileNotFoundError: there is neither such a name nor such a file; says how to get it.
      ValueError: the file is not a backbone's weights.
    """
    return _read_kind(_find_backbone(name_or_path), "backbone")[0]


def with_backbone(backbone: Mapping[str, Any]) -> Variables:
    """A backbone's own variables -> the same, where a colorizer has them."""
    return {collection: {"backbone": values} for collection, values in backbone.items()}


def backbone_file(name: str) -> Path:
    """A backbone's file: in the package if it ships, or where `jaxcolor port` puts it."""
    file = f"{name}.safetensors"
    shipped = _SHIPPED / file
    return shipped if shipped.is_file() else cache_dir() / "backbones" / file


def backbone_sha256(name_or_path: str | os.PathLike[str]) -> str:
    """Checksum of the file that `load_backbone` would read."""
    return sha256(_find_backbone(name_or_path))


def save_params(
    path: str | os.PathLike[str],
    params: Params,
    *,
    backbone_sha256: str | None = None,
    **header: object,
) -> None:
    """Writes a colorizer so that `load(path)` gives it back.

    Args:
      path: where; its folder must exist.
      params: the colorizer.
      backbone_sha256: checksum of the backbone's own file, to leave the backbone out and name it.
      header: what else the file's header shall tell.
    """
    variables = params.variables
    config = {"kind": "colorizer", "config": params.config.to_json(), **header}
    if backbone_sha256 is not None:
        config["backbone_sha256"] = backbone_sha256
        variables = {"params": split_trained(variables)[0]}
    save(path, variables, config)


def save(
    path: str | os.PathLike[str],
    variables: Mapping[str, Any],
    config: Mapping[str, object],
    *,
    dtype: Any = np.float16,
) -> None:
    """Writes nested variables and their config to a file that appears whole or not at all.

    The same variables and config give the same bytes.

    Args:
      path: where; its folder must exist.
      variables: nested dicts of float arrays.
      config: anything JSON can hold; goes into the header.
      dtype: how floats lie in the file.

    Raises:
      ValueError: a value is not finite in `dtype`.
    """
    path = Path(path)
    flat: dict[str, np.ndarray] = {}
    for name, leaf in sorted(traverse_util.flatten_dict(variables, sep="/").items()):
        with np.errstate(over="ignore"):
            flat[name] = np.ascontiguousarray(np.asarray(leaf).astype(dtype))
        if not np.isfinite(flat[name]).all():
            raise ValueError(f"{path}: {name} is not finite as {np.dtype(dtype).name}")
    data = safetensors.numpy.save(flat, metadata={_HEADER: json.dumps(config, sort_keys=True)})
    with open_whole(path) as file:
        file.write(data)


def read(path: str | os.PathLike[str]) -> tuple[Variables, dict[str, Any]]:
    """Reads what `save` wrote: nested float32 arrays, and the config.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not a safetensors file, or not one of jaxcolor's.
    """
    path = Path(path)
    header = read_header(path)
    with safetensors.safe_open(path, framework="np") as file:
        flat = {name: _as_float32(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 (not a dict)
    return traverse_util.unflatten_dict(flat, sep="/"), header


def _as_float32(array: np.ndarray) -> np.ndarray:
    """A copy whose data lies where a CPU's device takes it as it is: at a multiple of 64 bytes."""
    raw = np.empty(array.size * 4 + 64, np.uint8)
    start = -raw.__array_interface__["data"][0] % 64
    aligned = raw[start : start + array.size * 4].view(np.float32).reshape(array.shape)
    aligned[...] = array
    return aligned


def sha256(path: str | os.PathLike[str]) -> str:
    """Checksum of a weights file, as it stands in model cards and `jaxcolor models`."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _config(path: Path, header: Mapping[str, Any]) -> Config:
    try:
        return Config.from_json(header["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _read_kind(path: Path, kind: str) -> tuple[Variables, dict[str, Any]]:
    variables, header = read(path)
    if header.get("kind") != kind:
        raise ValueError(f"{path}: holds a {header.get('kind')}, not a {kind}'s weights")
    return variables, header


def _read_left_out(path: Path, name: str, checksum: str) -> Variables:
    """The backbone that the weights in `path` were trained on."""
    try:
        file = _find_backbone(name)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{path}: leaves out its backbone (sha256 {checksum[:12]}...). {error}"
        ) from None
    if (found := sha256(file)) != checksum:
        raise ValueError(
            f"{path}: was trained on the {name} of sha256 {checksum[:12]}..., but {file} is "
            f"another one ({found[:12]}...)"
        )
    return _read_kind(file, "backbone")[0]


def _find_backbone(name_or_path: str | os.PathLike[str]) -> Path:
    if str(name_or_path) in BACKBONES:
        path = backbone_file(str(name_or_path))
        if path.is_file():
            return path
        raise FileNotFoundError(
            f"The backbone {name_or_path} is not at {path}. Get it with: "
            f"jaxcolor port {name_or_path}"
        )
    return _find(name_or_path, tuple(BACKBONES))


def locate(name_or_path: str | os.PathLike[str] | None = None) -> Path:
    """The file that `load` would read; it is fetched, where it is on the hub.

    Raises:
      FileNotFoundError: there is neither such a name nor such a file.
      HubError: the hub's file cannot be had.
    """
    if hub.is_name(str(name_or_path)):
        return hub.fetch(str(name_or_path))
    return _find(_DEFAULT if name_or_path is None else name_or_path, available_models())


def _find(name_or_path: str | os.PathLike[str], names: tuple[str, ...]) -> Path:
    if str(name_or_path) in names:
        return _SHIPPED / f"{name_or_path}.safetensors"
    path = Path(name_or_path)
    if path.is_file():
        return path
    known = ", ".join(names) or "none"
    raise FileNotFoundError(
        f"{name_or_path}: no such weights file, nor a name of one (names: {known})"
    )


def _kind(path: Path) -> str:
    return str(read_header(path).get("kind"))


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file tells of itself, without reading its arrays.

    Raises:
      FileNotFoundError, ValueError: as `read`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file, or cut short ({error})") from None
    if _HEADER not in metadata:
        raise ValueError(f"{path}: a safetensors file, but not one that jaxcolor wrote")
    return dict(json.loads(metadata[_HEADER]))
