"""Services, Ingresses and HTTPRoutes."""

from typing import Annotated, Literal

from pydantic import Field

from chart.models.base import Annotations, Manifest, Model, NodePort, OptionalName, Port

__all__ = ["HttpRoute", "Ingress", "PrefixedHttpRoute", "PrefixedIngress", "Service"]

Path = Annotated[str, Field(pattern=r"^/[^ ]*$")]


class Service(Model):
    """A Service."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field("ClusterIP", description="Who can reach it.")
    port: Port = Field(80, description="Its port.")
    node_port: NodePort | None = Field(None, description="The nodes' port; Kubernetes chooses unless set.")
    annotations: Annotations = Field({}, description="Its annotations.")
    load_balancer_source_ranges: list[str] = Field([], description="Client networks that a load balancer lets in.")


class PrefixedIngress(Model):
    """An Ingress whose path is the component's URL prefix."""

    enabled: bool = Field(False, description="Make an Ingress.")
    class_name: OptionalName = Field("", description="IngressClass; the cluster's default unless set.")
    annotations: Annotations = Field({}, description="Its annotations.")
    hosts: list[str] = Field([], description="Host names; none: any.")
    tls: list[Manifest] = Field([], description="TLS, as an Ingress has it.")


class Ingress(PrefixedIngress):
    """An Ingress."""

    path: Path = Field("/", description="Path prefix.")


class PrefixedHttpRoute(Model):
    """An HTTPRoute whose path is the component's URL prefix."""

    enabled: bool = Field(False, description="Make an HTTPRoute (Gateway API), instead of the Ingress.")
    annotations: Annotations = Field({}, description="Its annotations.")
    parent_refs: list[Manifest] = Field([], description="The Gateways it belongs to.")
    hostnames: list[str] = Field([], description="Host names; none: any.")


class HttpRoute(PrefixedHttpRoute):
    """An HTTPRoute."""

    path: Path = Field("/", description="Path prefix.")
