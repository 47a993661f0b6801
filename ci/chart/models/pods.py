"""What pods of every component can be given. Nothing is set here: a key that is absent comes from podDefaults."""

from typing import Literal

from pydantic import Field

from chart.models.base import (
    Annotations,
    EnvName,
    Labels,
    Manifest,
    Model,
    OptionalName,
    Positive,
    Quantity,
    Share,
    Whole,
)

__all__ = [
    "AppPod",
    "Budget",
    "EnvMap",
    "EnvSource",
    "Image",
    "NetworkRules",
    "OpenNetworkRules",
    "Placement",
    "PodDefaults",
    "PodOptions",
    "Resources",
    "ServerPod",
    "ServiceAccount",
    "SharedServiceAccount",
    "WholeImage",
]

DIGEST = r"^(sha256:[0-9a-f]{64})?$"
TAG = r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$"
REPOSITORY = r"^[a-z0-9]([a-z0-9._/-]*[a-z0-9])?$"
PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class EnvSource(Model):
    """Where an environment variable comes from."""

    value_from: Manifest = Field(description="As in a container's `env`: secretKeyRef, configMapKeyRef, fieldRef, …")


EnvMap = dict[EnvName, str | EnvSource | None]


class Image(Model):
    """A part of an image's address; what is absent comes from `image`."""

    registry: str | None = Field(None, description="Registry; `global.imageRegistry` replaces it.")
    repository: str | None = Field(None, pattern=REPOSITORY, description="Repository.")
    tag: str | None = Field(None, pattern=TAG, description="Tag; empty: the chart's appVersion.")
    digest: str | None = Field(None, pattern=DIGEST, description="`sha256:…`; wins over the tag.")
    pull_policy: PullPolicy | None = Field(None, description="When the node pulls.")


class WholeImage(Model):
    """An image's whole address."""

    registry: str = Field("", description="Registry; `global.imageRegistry` replaces it.")
    repository: str = Field("", pattern=REPOSITORY, description="Repository.", validate_default=False)
    tag: str = Field("", pattern=TAG, description="Tag; empty: the chart's appVersion.")
    digest: str = Field("", pattern=DIGEST, description="`sha256:…`; wins over the tag.")
    pull_policy: PullPolicy = Field("IfNotPresent", description="When the node pulls.")


class Resources(Model):
    """Requests and limits of a container."""

    requests: dict[str, Quantity | int | float | None] | None = Field(None, description="What the scheduler reserves.")
    limits: dict[str, Quantity | int | float | None] | None = Field(None, description="What it may not exceed.")


class ServiceAccount(Model):
    """A component's ServiceAccount. Its token is mounted for the credentials Job and the steward alone."""

    create: bool | None = Field(None, description="Make one; false: use `name`, or the namespace's `default`.")
    name: OptionalName | None = Field(None, description="Its name; the component's own unless set.")
    annotations: Annotations | None = Field(None, description="Its annotations, for a cloud's IAM.")


class SharedServiceAccount(Model):
    """What ServiceAccounts have in common."""

    create: bool | None = Field(None, description="Make one for each component; false: use the namespace's `default`.")
    annotations: Annotations | None = Field(None, description="Annotations of each, for a cloud's IAM.")


class Budget(Model):
    """A PodDisruptionBudget."""

    enabled: bool | None = Field(None, description="Make one.")
    max_unavailable: Whole | Share | None = Field(None, description="Pods that may be away at a time, or `50%`.")
    min_available: Whole | Share | None = Field(None, description="Pods that must stay; in place of maxUnavailable.")


class NetworkRules(Model):
    """Rules on top of what the component needs."""

    extra_ingress: list[Manifest] | None = Field(None, description="More NetworkPolicy ingress rules.")
    extra_egress: list[Manifest] | None = Field(
        None, description="More NetworkPolicy egress rules, for what your tasks call; `[{}]` allows everything."
    )


class OpenNetworkRules(NetworkRules):
    """Rules of a component with a port for people."""

    from_: list[Manifest] | None = Field(None, alias="from", description="Peers that reach the port; none: anybody.")


class Placement(Model):
    """Where pods run, as whom, and what they are called."""

    pod_labels: Labels | None = Field(None, description="Labels of the pods.")
    pod_annotations: Annotations | None = Field(None, description="Annotations of the pods.")
    node_selector: Labels | None = Field(None, description="Node labels that pods need.")
    tolerations: list[Manifest] | None = Field(None, description="Taints that pods tolerate.")
    affinity: Manifest | None = Field(None, description="Affinity rules.")
    topology_spread_constraints: list[Manifest] | None = Field(
        None, description="Spread over nodes and zones; a missing labelSelector selects the component's own pods."
    )
    priority_class_name: OptionalName | None = Field(None, description="PriorityClass.")
    runtime_class_name: OptionalName | None = Field(None, description="RuntimeClass.")
    pod_security_context: Manifest | None = Field(None, description="Security context of the pod; merged key by key.")
    security_context: Manifest | None = Field(None, description="Security context of each container; merged likewise.")


class PodDefaults(Placement):
    """The block `podDefaults`."""

    service_account: SharedServiceAccount = Field(SharedServiceAccount(), description="ServiceAccounts.")
    pdb: Budget = Field(Budget(), description="PodDisruptionBudgets.")
    network_policy: NetworkRules = Field(NetworkRules(), description="Rules for every component's NetworkPolicy.")


class PodOptions(Placement):
    """What a component can set for its pods."""

    service_account: ServiceAccount | None = Field(None, description="The component's ServiceAccount.")
    network_policy: NetworkRules | None = Field(None, description="Rules of the component's NetworkPolicy.")
    resources: Resources | None = Field(None, description="Requests and limits of the main container.")
    termination_grace_period_seconds: Positive | None = Field(None, description="From SIGTERM to SIGKILL.")
    extra_env: EnvMap | None = Field(None, description='`NAME: "text"` or `NAME: {valueFrom: …}`; null removes.')
    extra_env_from: list[Manifest] | None = Field(None, description="Whole Secrets and ConfigMaps as environment.")
    extra_volumes: list[Manifest] | None = Field(None, description="More volumes.")
    extra_volume_mounts: list[Manifest] | None = Field(None, description="More mounts of the main container.")
    init_containers: list[Manifest] | None = Field(None, description="Containers that run before.")


class ServerPod(PodOptions):
    """A component that keeps running."""

    pdb: Budget | None = Field(None, description="The component's PodDisruptionBudget.")
    sidecars: list[Manifest] | None = Field(None, description="Containers that run beside the main one.")


class AppPod(ServerPod):
    """A component that runs the app's image."""

    image: Image | None = Field(None, description="Another image, or a part of its address.")
