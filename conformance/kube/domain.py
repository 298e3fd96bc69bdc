"""The libvirt domain of a running VM, read in its launcher pod."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from conformance.kube.cluster import Cluster
from conformance.kube.errors import KubeError
from conformance.kube.manifest import Ref
from conformance.kube.outcome import EnvironmentFault
from conformance.kube.pods import pod_exec

# libvirt's socket is wherever the pod's kernel says it is bound; whose connection it takes depends on the version
_DUMP = r"""
for socket in $(grep -o '/[^ ]*\(libvirt\|virtqemud\)-sock$' /proc/net/unix | sort -u); do
  for driver in session system; do
    uri="qemu+unix:///$driver?socket=$socket"
    name=$(virsh -q -c "$uri" list --all --name | head -n 1)
    [ "$name" ] && virsh -q -c "$uri" dumpxml "$name" && exit 0
  done
done
exit 1
"""


class DomainUnreadable(KubeError, EnvironmentFault):
    """The launcher pod does not show its domain; the message says what virsh said."""


def domain_xml(cluster: Cluster, pod: Ref) -> str:
    """The live domain of a launcher pod. Raises DomainUnreadable."""
    result = pod_exec(cluster, pod.namespace, pod.name, "compute", ("sh", "-c", _DUMP), timeout=20)
    if not result.ok or b"<domain" not in result.stdout:
        text = result.stderr.decode("utf-8", "replace")
        raise DomainUnreadable(f"virsh in {pod} ended with {result.exit_code}: {text}")
    return result.text()


def domain_interfaces(cluster: Cluster, pod: Ref) -> list[ET.Element]:
    """The ``<interface>`` elements of the live domain, in order. Raises DomainUnreadable."""
    return ET.fromstring(domain_xml(cluster, pod)).findall("./devices/interface")


def attribute(element: ET.Element, tag: str, name: str) -> str:
    """An attribute of the first child ``tag``, empty where there is none."""
    child = element.find(tag)
    return child.get(name, "") if child is not None else ""
