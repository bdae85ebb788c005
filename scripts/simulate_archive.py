"""How long `jaxcolor archive` takes on machines that get lost: a simulation of what Ray does.

python scripts/simulate_archive.py --photos 10_000_000 --workers 200 --lost 0.02 --seconds 1.5

A worker does one packet after the other. When its machine is lost, another one comes after a while,
and its packet is begun again by whoever has room: results that are there are left alone, and the
rest is done photo by photo, for which the network costs a whole batch each. What a batch of photos
was on its way to is lost.
"""

from __future__ import annotations

import argparse
import collections
import heapq

import numpy as np

BATCH = 8


def simulate(
    photos: int,
    workers: int,
    lost: float,
    seconds: float,
    *,
    packet: int = 32,
    network: float = 0.5,
    spread: float = 0.7,
    start: float = 300.0,
    seed: int = 0,
) -> dict[str, float]:
    """The whole time, the tail and the share of work that was for nothing, of one run.

    Args:
      photos: how many.
      workers: how many.
      lost: the share of the workers that is lost each hour.
      seconds: of a worker, for a photo.
      packet: photos that are handed out together.
      network: the network's share of the seconds.
      spread: of the logarithm of a photo's seconds.
      start: seconds until a worker that was lost has a successor that works.
      seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    queue: collections.deque[tuple[int, bool]] = collections.deque()  # photos; whether one by one
    whole, rest = divmod(photos, packet)
    queue.extend([(packet, False)] * whole + [(rest, False)] * (rest > 0))
    hazard = -np.log1p(-lost) / 3600
    events: list[tuple[float, int]] = []  # when a worker has room
    work = repeated = last = handed_out = 0.0
    dies = rng.exponential(1 / hazard, workers) if hazard else np.full(workers, np.inf)
    for worker in range(workers):
        heapq.heappush(events, (start, worker))
    while queue:
        now, worker = heapq.heappop(events)
        count, alone = queue.popleft()
        each = seconds * (1 + network * (BATCH - 1) if alone else 1)
        # The mean of so many photos, each of a lognormal time.
        time = count * each * np.exp(rng.normal(0, spread / count**0.5))
        if now + time <= dies[worker]:
            work += time
            repeated += count * (each - seconds)  # what the network does for nothing
            last = max(last, now + time)
            heapq.heappush(events, (now + time, worker))
        else:
            spent = max(0.0, dies[worker] - now)
            finished = count * spent / time
            done = max(0, int(finished) - BATCH)
            repeated += (finished - done) * each
            work += spent
            queue.append((count - done, alone or spent > 0))
            comes = max(now, dies[worker]) + start
            dies[worker] = comes + rng.exponential(1 / hazard)
            heapq.heappush(events, (comes, worker))
        handed_out = now
    return {"hours": last / 3600, "tail": last - handed_out, "repeated": repeated / work}


def main() -> None:
    """Prints one line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--lost", type=float, default=0.02, help="Of the workers, each hour.")
    parser.add_argument("--seconds", type=float, required=True, help="Of a worker, for a photo.")
    parser.add_argument("--packet", type=int, default=32)
    args = parser.parse_args()
    told = simulate(args.photos, args.workers, args.lost, args.seconds, packet=args.packet)
    print(
        f"{told['hours']:.1f} hours, of which the last {told['tail']:.0f} s with no packet left;"
        f" {told['repeated']:.3%} of the work was done for nothing"
    )


if __name__ == "__main__":
    main()
