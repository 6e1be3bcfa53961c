"""When a lease that another holds is over, as seen by whoever waits for it: no clock but one's own."""

import dataclasses
from collections.abc import Hashable


@dataclasses.dataclass(slots=True)
class Watched:
    """What a candidate last saw of a lease, and when that was new.

    Moments are those of one monotonic clock, in seconds.
    """

    seen: Hashable = None
    since: float = 0.0

    def left(self, seen: Hashable, lease_seconds: float, now: float) -> float:
        """Return the seconds until the lease is over if its holder writes nothing; 0 or less: it is.

        Args:
            seen: Whatever changes with every renewal.
            lease_seconds: How long the holder says that a renewal holds.
            now: The moment at which `seen` had been read.
        """
        if seen != self.seen:
            self.seen, self.since = seen, now
        return self.since + lease_seconds - now
