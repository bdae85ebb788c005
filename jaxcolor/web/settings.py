"""What a server is started with."""

from __future__ import annotations

import dataclasses

from jaxcolor.engine import Settings as EngineSettings

_MOMENT = 0.02  # seconds that the network waits for a photo that is being decoded


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
      queue: requests that are worked on or wait; one more is turned away.
      seconds: for a request, from its first byte to the last of the photo that goes back, and as
        long again for sending it.
      batch, threads, max_pixels, held_pixels: those of `jaxcolor.engine.Settings`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()
    max_bytes: int = 128 << 20
    queue: int = 64
    seconds: float = 120.0
    batch: int = 4
    threads: int = EngineSettings.threads
    max_pixels: int = EngineSettings.max_pixels
    held_pixels: int = EngineSettings.held_pixels

    @property
    def held_bytes(self) -> int:
        """Uploads in memory at once, together."""
        return 4 * self.max_bytes

    @property
    def engine(self) -> EngineSettings:
        """Settings of the engine, where nobody waits for others to come."""
        return EngineSettings(self.batch, _MOMENT, self.threads, self.max_pixels, self.held_pixels)
