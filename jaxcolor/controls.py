"""What a user can turn: each control's range, default and sentence, stated once.

The command's options, the API's document and checks, the page's sliders and the checks of
`colorize` are made of what stands here. Nothing is imported for it: `jaxcolor colorize --help`
lists the controls without JAX. `jaxcolor.predict` makes `Controls` known to JAX as a pytree.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import MutableMapping
from typing import Any, TypeAlias

Value: TypeAlias = Any  # a number; inside `jit` and `vmap` an array of JAX without dimensions


@dataclasses.dataclass(frozen=True)
class Control:
    """What is known of a control.

    Attributes:
      name: of the field of `Controls`, of the keyword of `colorize`, and of the option.
      default: leaves the colours as the network gives them.
      label: what the page calls it.
      sentence: what it does.
      least: the smallest value.
      most: the largest; finite, as an overflow would make the colours grey.
      most_on_page: the largest that the page's slider gives.
    """

    name: str
    default: float
    label: str
    sentence: str
    least: float
    most: float
    most_on_page: float

    def check(self, value: Value) -> None:
        """Refuses what is out of range.

        Raises:
          ValueError: it is; the message names the control.
        """
        if _is_traced(value):
            return
        value = _on_host(value)
        if not self.least <= value <= self.most:  # NaN fails every comparison
            raise ValueError(
                f"{self.name}: {value} is not between {self.least:g} and {self.most:g}"
            )


def _facts(
    label: str,
    sentence: str,
    *,
    least: float = 0.0,
    most: float = 1.0,
    most_on_page: float | None = None,
) -> dict[str, Any]:
    """What `Control` tells beside name and default; the page has a bound of its own."""
    return {
        "label": label,
        "sentence": sentence,
        "least": least,
        "most": most,
        "most_on_page": most if most_on_page is None else most_on_page,
    }


@dataclasses.dataclass(frozen=True)
class Controls:
    """How the colours of a photo are wished; what is left out leaves them as they are.

    A pytree: under `jit`, `vmap` and `grad` the values may be traced.

    Attributes:
      saturation: what the chroma is multiplied by.
      refine: how closely colours follow the photo's edges: 0, bilinear, to 1 (`docs/refine.md`).
    """

    saturation: Value = dataclasses.field(
        default=1.0,
        metadata=_facts(
            "Saturation",
            "How vivid the colours are; 0 is grey.",
            most=100.0,
            most_on_page=2.0,
        ),
    )
    refine: Value = dataclasses.field(
        default=1.0,
        metadata=_facts("Refinement", "How closely colours follow the photo's edges."),
    )

    def check(self) -> None:
        """Refuses values that are out of range; of those that are traced nothing is known yet.

        Raises:
          ValueError: one is; the message names it.
        """
        for control in CONTROLS:
            control.check(getattr(self, control.name))

    @classmethod
    def taken_from(cls, options: MutableMapping[str, Any]) -> Controls:
        """Takes the controls out of the options that a door was given, and leaves the others."""
        names = [control.name for control in CONTROLS if control.name in options]
        return cls(**{name: options.pop(name) for name in names})


# What `size` is, wherever it can be chosen. It is none of the controls: a program is compiled for
# each. `Config` checks it, as each network has a multiple; `tests/test_controls.py` holds the 32.
SIZE = (
    "The square that the network works on, in pixels: larger for finer colours, smaller for calmer"
    " ones. It must be a multiple of what the network needs; 32 suits every network."
)
WEIGHTS = "One of `jaxcolor models`, a .safetensors file, or hf://OWNER/NAME."

UNTOUCHED = Controls()
CONTROLS = tuple(
    Control(field.name, getattr(UNTOUCHED, field.name), **field.metadata)
    for field in dataclasses.fields(Controls)
)


def _is_traced(value: Value) -> bool:
    jax = sys.modules.get("jax")  # where it is not loaded, nothing can be
    return jax is not None and isinstance(value, jax.core.Tracer)


def _on_host(value: Value) -> Value:
    """The value where Python can compare it: an array of JAX is fetched, and says so."""
    jax = sys.modules.get("jax")
    return value if jax is None else jax.device_get(value)
