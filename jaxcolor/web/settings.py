"""What a server is started with."""

from __future__ import annotations

import dataclasses
import os

from jaxcolor.image_io import MAX_PIXELS


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a server listens, and how much it takes on at once.

    Attributes:
      host: the address that it listens on.
      port: likewise; 0 lets the system choose.
      names: further names that requests may call the server by, beside those of this machine: what
        a reverse proxy passes on as `Host`.
      cors: origins whose pages may use the API from a browser, "https://photos.example.org".
      max_bytes: of an uploaded photo.
      max_pixels: of a photo, as `open_photo` takes it.
      queue: requests that are worked on or wait; one more is turned away.
      seconds: for a request, from its first byte to the last of the photo that goes back, and as
        long again for sending it.
      batch: photos in a pass of the network.
      threads: photos decoded at once, and encoded at once.
      held_pixels: decoded photos in memory at once, together; a larger one is worked on alone.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()
    max_bytes: int = 128 << 20
    max_pixels: int = MAX_PIXELS
    queue: int = 64
    seconds: float = 120.0
    batch: int = 4
    threads: int = os.cpu_count() or 1
    held_pixels: int = 64_000_000

    @property
    def held_bytes(self) -> int:
        """Uploads in memory at once, together."""
        return 4 * self.max_bytes
