"""The site file, as a pydantic model: the source of its published JSON Schema."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern="^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Gate = Annotated[str, Field(pattern="^[A-Z][A-Za-z0-9]*$")]


class _File(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, use_attribute_docstrings=True
    )


class SiteMetadata(_File):
    """Names the site; the name stands in the report."""

    name: Name
    """A DNS-1123 label."""


class AccessSpec(_File):
    """Kubeconfig files of accounts with less than your own rights; paths are relative to this file."""

    registrar: Text | None = None
    """Of the account that may get and patch the KubeVirt CR, or the HyperConverged that owns it."""
    runner: Text | None = None
    """Of the account that has its rights in the namespaces of the run only."""


class ProxySpec(_File):
    """How the API server is reached."""

    url: Annotated[str, Field(pattern="^http://[^/]+/?$")]
    """`http://host:port` of an HTTP proxy that passes on CONNECT; it takes the place of what the kubeconfig says."""


class MirrorSpec(_File):
    """Where images are had instead. The longest source that fits counts."""

    source: Text
    """The beginning of a reference up to a slash or its end: `quay.io/kubevirt`, `docker.io/library/python`."""
    mirror: Text
    """What stands there instead: `registry.lab:5000/kubevirt`."""


class GuestSpec(_File):
    """The guests' containerDisk and how to log in. cloud-init, python3 and an SSH server must be in it."""

    image: Text
    """Reference of the containerDisk."""
    user: Text
    """The account that cloud-init gives the run's key, and that the console logs in as."""
    password: str = ""
    """The password that this account has on the console; empty if it needs none."""
    memory: Annotated[str, Field(pattern="^[0-9]+(Ki|Mi|Gi)$")] = "512Mi"
    """Memory that a guest needs to boot."""


class SiteSpec(_File):
    """The local facts. All optional."""

    namespaces: list[Name] = []
    """Namespaces that the run may use, one for each worker; otherwise it makes its own and deletes them."""
    access: AccessSpec = AccessSpec()
    binding_manifests: Literal["apply", "installed"] = "apply"
    """`installed` if an administrator has applied the definition's manifests: they are left alone then."""
    node_access: bool = False
    """Whether the run may look at the nodes, through a short-lived privileged DaemonSet that changes nothing."""
    disruption: bool = False
    """Whether a run with node access may restart the kubelet, Multus and virt-handler on a node, at its end."""
    node_selector: dict[str, str] = {}
    """Labels of the nodes to use; others are left alone."""
    proxy: ProxySpec | None = None
    mirrors: list[MirrorSpec] = []
    guest: GuestSpec | None = None
    ports: list[Port] = []
    """TCP ports that a backend here needs listed on every interface, besides those that the checks use."""
    secondary_network: Annotated[str, Field(pattern="^[a-z0-9][-a-z0-9]*/[a-z0-9][-.a-z0-9]*$")] | None = None
    """`namespace/name` of the NetworkAttachmentDefinition that secondary interfaces are tested on."""
    disabled_feature_gates: list[Gate] = []
    """KubeVirt feature gates that the administrator keeps off: what needs one counts as not proven."""
    timeout_factor: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Multiplies every timeout."""


class SiteFile(_File):
    """Local facts of a cluster that somebody else owns."""

    api_version: Literal["binding-conformance/v1alpha1"]
    kind: Literal["Site"]
    metadata: SiteMetadata
    spec: SiteSpec
