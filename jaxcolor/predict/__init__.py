"""A grey photo in, the same photo in colour out: one, or many of mixed sizes.

The photo's own lightness is never resized and never passes through the network: a small copy of it
does, and the chroma that comes back is enlarged along the photo's edges and joined to it.

`pictures` has what users call, `stages` the three steps that it and `jaxcolor.engine` are made of.
Arrays of NumPy and Pillow images are worked on in strips (`strips`), so that one compiled program
serves every size of photo, in little memory. JAX arrays go through one pure function of static
shape (`pure`), which can stand inside `jit`, `vmap` and sharded programs.
"""

from jaxcolor.controls import Controls
from jaxcolor.predict.pictures import colorize, colorize_batch, colorize_rows

__all__ = ["Controls", "colorize", "colorize_batch", "colorize_rows"]
