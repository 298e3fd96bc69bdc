"""The passt CNI plugin as libcni runs it: an executable, environment and stdin in, JSON out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.plugins.namespaces import Namespace, namespace, needs_root

PLUGIN = Path(__file__).parents[3] / "fixtures/plugins/passt_cni/cni_passt_binding_plugin.py"
CONFIG = {"cniVersion": "1.0.0", "name": "netbindingpasst", "type": "cni-passt-binding-plugin"}
SYSCTLS = ("net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start")

pytestmark = needs_root


@pytest.fixture
def pod() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture
def node() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def call(command: str, netns: str = "", config: object = CONFIG, node: Namespace | None = None) -> tuple[int, str]:
    """Run the plugin; its exit status and stdout."""
    environment = {
        **os.environ,
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "0123456789abcdef",
        "CNI_NETNS": netns,
        "CNI_IFNAME": "net1",
        "CNI_PATH": "/opt/cni/bin",
        "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME=b",
    }
    argv = [str(PLUGIN)] if node is None else node.argv(str(PLUGIN))
    text = config if isinstance(config, str) else json.dumps(config)
    done = subprocess.run(argv, input=text, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def sysctls(where: Namespace) -> list[str]:
    return [" ".join(where.run("sysctl", "-n", name).split()) for name in SYSCTLS]


def test_version_lists_what_it_speaks() -> None:
    status, output = call("VERSION")
    assert status == 0
    assert json.loads(output) == {"cniVersion": "1.0.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0"]}


@pytest.mark.parametrize("version", ["0.3.1", "0.4.0", "1.0.0"])
def test_add_reports_no_interface(pod: Namespace, version: str) -> None:
    status, output = call("ADD", pod.path, {**CONFIG, "cniVersion": version})
    assert status == 0
    assert json.loads(output) == {"cniVersion": version, "interfaces": [], "ips": [], "routes": [], "dns": {}}


def test_add_passes_the_previous_result_on(pod: Namespace) -> None:
    previous = {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": pod.path}], "ips": []}
    status, output = call("ADD", pod.path, {**CONFIG, "prevResult": previous})
    assert (status, json.loads(output)) == (0, previous)


def test_add_changes_the_pod_and_not_the_node(pod: Namespace, node: Namespace) -> None:
    before = sysctls(node)
    links = node.run("ip", "-o", "link")
    assert call("ADD", pod.path, node=node)[0] == 0
    assert sysctls(pod) == ["0 2147483647", "0"]
    assert sysctls(node) == before
    assert node.run("ip", "-o", "link") == links


def test_check_sees_whether_add_was_done(pod: Namespace) -> None:
    status, output = call("CHECK", pod.path)
    assert (status, json.loads(output)["code"]) == (1, 100)
    call("ADD", pod.path)
    assert call("CHECK", pod.path) == (0, "")


def test_del_is_idempotent_and_needs_no_namespace(pod: Namespace) -> None:
    call("ADD", pod.path)
    assert [call("DEL", pod.path), call("DEL", pod.path), call("DEL", "/gone"), call("DEL")] == [(0, "")] * 4


@pytest.mark.parametrize(
    ("command", "netns", "config", "code"),
    [
        ("ADD", "/proc/self/ns/net", {**CONFIG, "cniVersion": "0.2.0"}, 1),
        ("ADD", "", CONFIG, 4),
        ("ADD", "/proc/self/ns/net", CONFIG, 4),
        ("FROB", "", CONFIG, 4),
        ("ADD", "/gone", CONFIG, 5),
        ("ADD", "", "{", 6),
        ("ADD", "", [], 6),
    ],
    ids=["version", "no netns", "the node's netns", "command", "missing netns", "no json", "no object"],
)
def test_an_error_is_an_error_object(command: str, netns: str, config: object, code: int) -> None:
    status, output = call(command, netns, config)
    error = json.loads(output)
    assert status == 1
    assert error["code"] == code
    assert error["cniVersion"] == "1.0.0"
    assert error["msg"]


def test_the_mutant_leaves_a_tap_on_the_node(pod: Namespace, node: Namespace) -> None:
    faulty = {**CONFIG, "fault": "leave-tap"}
    assert call("ADD", pod.path, faulty, node)[0] == 0
    assert call("DEL", pod.path, faulty, node)[0] == 0
    assert "kbc0123456789" in node.run("ip", "-o", "link")
    assert "kbc0123456789" not in pod.run("ip", "-o", "link")
