"""What a site file says reaches the VMs and images of the suites."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from conformance.kube.vmi import NicSpec, VmiSpec
from conformance.plugin.run import Run
from conformance.site.site import Mirror, Site
from fixtures.images import guest_image
from fixtures.machines import PORTS, site_ports


def run_at(site: Site) -> Run:
    """As much of a run as the fixtures ask for an image and ports."""
    return cast(Run, SimpleNamespace(site=site, handoff=SimpleNamespace(guest="fedora")))


def test_the_guest_comes_from_its_mirror() -> None:
    plain = guest_image(run_at(Site())).reference
    mirrored = guest_image(run_at(Site(mirrors=(Mirror("quay.io/kubevirt", "registry.lab:5000/kv"),)))).reference
    assert mirrored == plain.replace("quay.io/kubevirt", "registry.lab:5000/kv") != plain


def test_ports_of_the_site_are_listed_once() -> None:
    listed = site_ports(run_at(Site(ports=(8443, PORTS[0].port))))
    assert [(port.port, port.protocol) for port in listed] == [(8443, "TCP")]


@pytest.mark.parametrize("node", ["", "node-2"])
def test_a_vm_goes_to_the_nodes_of_the_site(node: str) -> None:
    spec = VmiSpec("v", "ns", (NicSpec(binding="b"),), "image", "", node=node, node_selector={"pool": "kubevirt"})
    wanted = {"pool": "kubevirt", **({"kubernetes.io/hostname": node} if node else {})}
    assert spec.vmi()["spec"]["nodeSelector"] == wanted
