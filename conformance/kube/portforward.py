"""KubeVirt's ``portforward`` subresource as a socket that paramiko, ``select`` and ``ssl`` can use."""

from __future__ import annotations

import socket
from typing import Literal

from conformance.kube.cluster import Cluster
from conformance.kube.errors import ApiError
from conformance.kube.streams import PLAIN, as_socket, open_websocket


class VmiPaused(ApiError):
    """409: the VMI is paused."""


class NoInterfaces(ApiError):
    """400: ``no network interfaces are present``."""


class DialFailed(ApiError):
    """500: virt-api could not reach ``status.interfaces[0].ipAddress:port``; ``message`` says how the dial failed.

    Not an environment fault: what carries the dial is the binding. ``refused`` and ``no_route`` tell the common cases.
    """

    @property
    def refused(self) -> bool:
        """The guest (or the binding) answered that nothing listens at that port."""
        return "connection refused" in self.message

    @property
    def no_route(self) -> bool:
        """Nothing answers at that address."""
        return "no route to host" in self.message or "i/o timeout" in self.message


def portforward(
    cluster: Cluster,
    namespace: str,
    vmi: str,
    port: int,
    *,
    protocol: Literal["tcp", "udp"] = "tcp",
) -> socket.socket:
    """Connect to a port of the guest through the API server.

    Raises NotFound, VmiPaused, NoInterfaces or DialFailed with KubeVirt's own text, ConnectionLost for everything that
    is between us and the API server. RBAC: ``get`` on ``virtualmachineinstances/portforward``.
    """
    stream = open_websocket(
        cluster.api_client,
        f"/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/{vmi}"
        f"/portforward/{port}/{protocol}",
        what=f"portforward to {namespace}/{vmi} port {port}/{protocol}",
        subprotocol=PLAIN,
        refused=_by_text,
    )
    return as_socket(stream, f"portforward-{vmi}-{port}")


def _by_text(error: ApiError) -> ApiError:
    fields = (error.what, error.code, error.reason, error.message)
    if error.code == 409 and "paused" in error.message:
        return VmiPaused(*fields)
    if error.code == 400 and "no network interfaces" in error.message:
        return NoInterfaces(*fields)
    if error.code == 500 and "dial" in error.message:
        return DialFailed(*fields)
    return error
