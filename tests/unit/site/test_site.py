"""The site file: what it holds, where images are had, and mistakes in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.site import Guest, Mirror, Site, SiteError, load_site

HEAD = "apiVersion: binding-conformance/v1alpha1\nkind: Site\nmetadata: {name: lab}\n"


def write(tmp_path: Path, spec: str) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(f"{HEAD}spec:\n{spec}")
    return path


def problems(path: Path) -> list[tuple[str, str, str]]:
    with pytest.raises(SiteError) as raised:
        load_site(path)
    assert "in the site file" in str(raised.value)
    return [(problem.field, problem.value, problem.fix) for problem in raised.value.problems]


def test_no_file_says_nothing() -> None:
    assert load_site(None) == Site()


def test_every_fact(tmp_path: Path) -> None:
    (tmp_path / "runner.kubeconfig").write_text("")
    path = write(
        tmp_path,
        """
  namespaces: [team-a, team-b]
  access: {runner: runner.kubeconfig}
  bindingManifests: installed
  nodeAccess: true
  disruption: true
  nodeSelector: {pool: virt}
  proxy: {url: "http://proxy.lab:3128"}
  mirrors: [{source: quay.io/kubevirt, mirror: registry.lab:5000/kubevirt}]
  guest: {image: "registry.lab:5000/fedora:1", user: fedora, password: fedora, memory: 1Gi}
  ports: [8080]
  secondaryNetwork: default/vlan-7
  disabledFeatureGates: [VSOCK, CPUManager]
  timeoutFactor: 2.5
""",
    )
    assert load_site(path) == Site(
        name="lab",
        namespaces=("team-a", "team-b"),
        runner=tmp_path / "runner.kubeconfig",
        installed=True,
        node_access=True,
        disruption=True,
        node_selector={"pool": "virt"},
        proxy="http://proxy.lab:3128",
        mirrors=(Mirror("quay.io/kubevirt", "registry.lab:5000/kubevirt"),),
        guest=Guest("registry.lab:5000/fedora:1", "fedora", "fedora", "1Gi"),
        ports=(8080,),
        secondary_network="default/vlan-7",
        disabled_feature_gates=("VSOCK", "CPUManager"),
        timeout_factor=2.5,
    )


def test_images_by_the_longest_mirror() -> None:
    site = Site(
        mirrors=(Mirror("quay.io", "m/q"), Mirror("quay.io/kubevirt", "m/k"), Mirror("docker.io/a/b:1", "m/b:2"))
    )
    assert site.image("quay.io/kubevirt/fedora@sha256:0") == "m/k/fedora@sha256:0"
    assert site.image("quay.io/kubevirtual/x:1") == "m/q/kubevirtual/x:1"
    assert site.image("docker.io/a/b:1") == "m/b:2"
    assert site.image("docker.io/a/b:11") == "docker.io/a/b:11"


@pytest.mark.parametrize(
    ("spec", "field", "value", "fix"),
    [
        ("  timeoutfactor: 2", "spec.timeoutfactor", "2", "did you mean timeoutFactor?"),
        ("  timeoutFactor: 0", "spec.timeoutFactor", "0", "Multiplies every timeout"),
        ("  ports: [http]", "spec.ports[0]", '"http"', "write a whole number"),
        ("  bindingManifests: applied", "spec.bindingManifests", '"applied"', "write apply, installed"),
        ("  access: {registrar: missing}", "spec.access.registrar", '"missing"', "name a kubeconfig file"),
        ("  namespaces: [a, a]", "spec.namespaces[1]", '"a"', "remove one of them"),
        ("  proxy: {url: 'socks5://a:1'}", "spec.proxy.url", '"socks5://a:1"', "write something that matches"),
        ("  proxy: {url: proxy.lab}", "spec.proxy.url", '"proxy.lab"', "write something that matches"),
        ("  disabledFeatureGates: [A, A]", "spec.disabledFeatureGates[1]", '"A"', "remove one of them"),
        ("  disabledFeatureGates: [cpu]", "spec.disabledFeatureGates[0]", '"cpu"', "write something that matches"),
        ("  disabledFeatureGates: [HotplugNIC]", "spec.disabledFeatureGates[0]", '"HotplugNIC"', "mean HotplugNICs?"),
        ("  secondaryNetwork: vlan", "spec.secondaryNetwork", '"vlan"', "write something that matches"),
    ],
)
def test_mistakes_name_field_value_and_fix(tmp_path: Path, spec: str, field: str, value: str, fix: str) -> None:
    found = problems(write(tmp_path, spec))
    assert [(f, v) for f, v, _ in found] == [(field, value)]
    assert fix in found[0][2]


def test_a_gate_of_another_name_is_nobodys_slip(tmp_path: Path) -> None:
    gates = ("VMLiveUpdateFeatures", "HotplugVolumes", "LiveUpdateNADRef", "PasstBinding")
    assert load_site(write(tmp_path, f"  disabledFeatureGates: [{', '.join(gates)}]")).disabled_feature_gates == gates


def test_a_runner_needs_namespaces(tmp_path: Path) -> None:
    (tmp_path / "r").write_text("")
    assert problems(write(tmp_path, "  access: {runner: r}"))[0][0] == "spec.namespaces"


def test_a_missing_file(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.yaml")[0][2] == "create it or correct the path"
