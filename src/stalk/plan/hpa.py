"""The HorizontalPodAutoscaler's algorithm, for an external metric with a target for each pod.

As in Kubernetes, `pkg/controller/podautoscaler` (horizontal.go, replica_calculator.go) and the defaults of
`pkg/apis/autoscaling/v2/defaults.go`; described in
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details.
A pool without `behavior` takes another way through that code than one with it: both are here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Literal

from stalk.plan.units import PlanProblem

__all__ = ["DEFAULT_DOWN", "DEFAULT_UP", "Behavior", "Hpa", "Policy", "Rules", "behavior"]

SYNC_SECONDS = 15.0
"""`--horizontal-pod-autoscaler-sync-period`."""
TOLERANCE = 0.1
"""`--horizontal-pod-autoscaler-tolerance`."""
DOWN_SECONDS = 300.0
"""`--horizontal-pod-autoscaler-downscale-stabilization`."""


@dataclass(frozen=True)
class Policy:
    """How far the replicas may move within a period."""

    kind: Literal["Pods", "Percent"]
    value: int
    seconds: float


@dataclass(frozen=True)
class Rules:
    """One direction of `behavior`."""

    policies: tuple[Policy, ...]
    stabilization: float
    """Seconds of which the most careful recommendation is taken."""
    select: Literal["Max", "Min", "Disabled"] = "Max"
    tolerance: float = TOLERANCE


DEFAULT_UP = Rules((Policy("Pods", 4, 15.0), Policy("Percent", 100, 15.0)), 0.0)
DEFAULT_DOWN = Rules((Policy("Percent", 100, 15.0),), DOWN_SECONDS)


@dataclass(frozen=True)
class Behavior:
    """A HorizontalPodAutoscaler's `behavior`; what it leaves out is Kubernetes' default."""

    up: Rules = DEFAULT_UP
    down: Rules = DEFAULT_DOWN


def behavior(given: Mapping[str, Any], where: str) -> Behavior | None:
    """Return what a manifest's `behavior` says; None for an empty one, which Kubernetes treats on its own.

    Args:
        given: as in a manifest.
        where: it stands, for the error.

    Raises:
        PlanProblem: it is no `behavior`.
    """
    if not given:
        return None
    try:
        unknown = given.keys() - {"scaleUp", "scaleDown"}
        if unknown:
            raise PlanProblem(f"{where}: has no key {min(unknown)}")
        return Behavior(_rules(given.get("scaleUp"), DEFAULT_UP), _rules(given.get("scaleDown"), DEFAULT_DOWN))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PlanProblem(f"{where}: is not a HorizontalPodAutoscaler's behavior: {error!r}") from error


def _rules(given: Mapping[str, Any] | None, default: Rules) -> Rules:
    rules = default
    given = given or {}
    if given.get("policies") is not None:
        policies = (
            Policy(each["type"], int(each["value"]), float(each["periodSeconds"])) for each in given["policies"]
        )
        rules = replace(rules, policies=tuple(policies))
    if any(policy.kind not in {"Pods", "Percent"} for policy in rules.policies) or not rules.policies:
        raise ValueError("a policy's type is Pods or Percent")
    if given.get("stabilizationWindowSeconds") is not None:
        rules = replace(rules, stabilization=float(given["stabilizationWindowSeconds"]))
    if given.get("selectPolicy") is not None:
        if given["selectPolicy"] not in {"Max", "Min", "Disabled"}:
            raise ValueError("selectPolicy is Max, Min or Disabled")
        rules = replace(rules, select=given["selectPolicy"])
    if given.get("tolerance") is not None:
        rules = replace(rules, tolerance=float(given["tolerance"]))
    return rules


@dataclass
class Hpa:
    """One HorizontalPodAutoscaler, with what it remembers.

    What it remembers outlives a stretch at zero replicas: KEDA switches it off there, but does not make it forget.
    """

    least: int
    """minReplicas; KEDA never sets it below 1."""
    most: int
    target: float
    """Messages for each pod (AverageValue)."""
    behavior: Behavior | None = None
    tolerance: float = TOLERANCE
    down_seconds: float = DOWN_SECONDS
    _recommended: list[tuple[float, int]] = field(default_factory=list)
    _added: list[tuple[float, int]] = field(default_factory=list)
    _removed: list[tuple[float, int]] = field(default_factory=list)

    def sync(self, now: float, current: int, metrics: Sequence[float]) -> int:
        """Return the replicas that it asks for.

        Args:
            now: seconds, never falling.
            current: replicas of the Deployment.
            metrics: messages of each trigger; the one that asks for most decides.
        """
        if not self._recommended:
            self._recommended.append((now, current))
        if current == 0:
            return 0  # ScalingDisabled, "implicit maintenance-mode deactivation"
        if current > self.most:
            wanted = self.most
        elif current < self.least:
            wanted = self.least
        else:
            proposed = max(self._proposed(value, current) for value in metrics)
            if self.behavior is None:
                wanted = self._plain(now, current, proposed)
            else:
                wanted = self._with_behavior(now, current, proposed, self.behavior)
        if self.behavior is not None and wanted > current:
            self._added.append((now, wanted - current))
        elif self.behavior is not None and wanted < current:
            self._removed.append((now, current - wanted))
        return wanted

    def _proposed(self, value: float, current: int) -> int:
        """`GetExternalPerPodMetricReplicas`."""
        ratio = value / (self.target * current)
        up = self.behavior.up.tolerance if self.behavior else self.tolerance
        down = self.behavior.down.tolerance if self.behavior else self.tolerance
        if 1 - down <= ratio <= 1 + up:
            return current
        return ceil(value / self.target)

    def _plain(self, now: float, current: int, proposed: int) -> int:
        """`normalizeDesiredReplicas`: the highest of the window, also on the way up; at most double, but 4 at once."""
        wanted = max(self._within(now, self.down_seconds), default=proposed)
        wanted = max(wanted, proposed)
        self._remember(now, proposed, self.down_seconds)
        return min(max(wanted, self.least), self.most, max(2 * current, 4))

    def _with_behavior(self, now: float, current: int, proposed: int, behavior: Behavior) -> int:
        """`normalizeDesiredReplicasWithBehaviors`."""
        up, down = behavior.up, behavior.down
        lowest = min([proposed, *self._within(now, up.stabilization)])
        highest = max([proposed, *self._within(now, down.stabilization)])
        self._remember(now, proposed, max(up.stabilization, down.stabilization))
        wanted = min(max(current, lowest), highest)
        if wanted > current:
            limit = max(current, self._limit(now, current, up, 1))
            return min(wanted, self.most, limit)
        if wanted < current:
            limit = min(current, self._limit(now, current, down, -1))
            return max(wanted, self.least, limit)
        return wanted

    def _limit(self, now: float, current: int, rules: Rules, sign: int) -> int:
        """`calculateScaleUpLimitWithScalingRules` and its counterpart."""
        if rules.select == "Disabled":
            return current
        proposals = []
        for policy in rules.policies:
            start = current - _moved(self._added, now, policy.seconds) + _moved(self._removed, now, policy.seconds)
            if policy.kind == "Pods":
                proposals.append(start + sign * policy.value)
            else:
                share = start * (1 + sign * policy.value / 100)
                # Up is rounded up, or one pod would never become two; down is cut off, as Go's int32() does.
                proposals.append(ceil(share) if sign > 0 else int(share))
        # "Max" is the largest change: the highest proposal on the way up, the lowest on the way down.
        return max(proposals) if (rules.select == "Max") == (sign > 0) else min(proposals)

    def _within(self, now: float, window: float) -> list[int]:
        # Strictly: the real controller drifts by some milliseconds each round, so what is a whole window old is out.
        return [value for moment, value in self._recommended if moment > now - window]

    def _remember(self, now: float, proposed: int, window: float) -> None:
        self._recommended = [(moment, value) for moment, value in self._recommended if moment > now - window]
        self._recommended.append((now, proposed))
        longest = 0.0
        if self.behavior is not None:
            policies = (*self.behavior.up.policies, *self.behavior.down.policies)
            longest = max((policy.seconds for policy in policies), default=0.0)
        self._added = [event for event in self._added if event[0] > now - longest]
        self._removed = [event for event in self._removed if event[0] > now - longest]


def _moved(events: Sequence[tuple[float, int]], now: float, period: float) -> int:
    return sum(change for moment, change in events if moment > now - period)
