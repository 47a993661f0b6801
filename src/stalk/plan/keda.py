"""What KEDA itself does with a Deployment: from zero to one and from N to zero. Between them is the HPA's.

As in KEDA 2.20, `pkg/scaling/executor/scale_scaledobjects.go` (RequestScale, scaleToZeroOrIdle, scaleFromZeroOrIdle)
and `pkg/scaling/scale_handler.go` (startScaleLoop).
"""

from dataclasses import dataclass

__all__ = ["Keda"]


@dataclass
class Keda:
    """One ScaledObject without idleReplicaCount."""

    least: int
    """minReplicaCount."""
    cooldown: float
    """Seconds since the last look that found work."""
    _active_at: float | None = None

    def poll(self, now: float, current: int, messages: float) -> int:
        """Return the replicas after one look at the queues.

        Args:
            now: seconds.
            current: replicas of the Deployment.
            messages: the most that any trigger reads; more than activationValue, 0, is work.
        """
        if messages > 0:
            self._active_at = now
            return max(1, self.least) if current == 0 else current
        if current > 0 and self.least == 0:
            over = self._active_at is None or self._active_at + self.cooldown < now
            return 0 if over else current
        return max(current, self.least)
