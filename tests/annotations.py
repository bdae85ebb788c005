"""The check that jaxtyping's pytest hook gives every function of jaxcolor (`pyproject.toml`)."""

from typing import BinaryIO

from beartype import BeartypeConf, FrozenDict, beartype

executed = beartype(
    conf=BeartypeConf(
        is_pep484_tower=True,  # an int will do for a float, as for mypy
        # An open file is what can be read or written: `BytesIO` and the wrappers of `image_io` are
        # no instances of `BinaryIO`, which only type checkers know.
        hint_overrides=FrozenDict({BinaryIO: object}),
    )
)
