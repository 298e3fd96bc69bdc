"""The macvtap CNI plugin as libcni runs it, and what its device plugin offers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.plugins.macvtap_cni.opt.macvtap_cni.deviceplugin import ConfigError, Offer, offers
from tests.unit.plugins.namespaces import Namespace, namespace, needs_root

PLUGIN = Path(__file__).parents[3] / "fixtures/plugins/macvtap_cni/opt/macvtap_cni/cni.py"
CONFIG = {"cniVersion": "0.3.1", "name": "net", "type": "macvtap", "deviceID": "eth1Mvp0", "mtu": 1400}
MAC = "02:00:00:00:00:07"


@pytest.fixture
def pod() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture
def node() -> Iterator[Namespace]:
    """A node whose device plugin has made one macvtap."""
    with namespace() as made:
        made.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "far")
        made.run("ip", "link", "add", "link", "eth1", "name", "eth1Mvp0", "type", "macvtap", "mode", "bridge")
        yield made


def call(command: str, node: Namespace, pod: Namespace, config: object = CONFIG) -> tuple[int, dict[str, object]]:
    """Run the plugin on the node; its exit status and what it printed."""
    environment = {
        **os.environ,
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "c",
        "CNI_NETNS": pod.path,
        "CNI_IFNAME": "pod1234567890a",
        "CNI_ARGS": f"IgnoreUnknown=true;MAC={MAC}",
    }
    argv, text = node.argv(str(PLUGIN)), json.dumps(config)
    done = subprocess.run(argv, input=text, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout or "{}")


@needs_root
def test_the_device_moves_into_the_pod_and_is_gone_after_del(node: Namespace, pod: Namespace) -> None:
    index = json.loads(node.run("ip", "-json", "link", "show", "eth1Mvp0"))[0]["ifindex"]
    status, result = call("ADD", node, pod)
    assert (status, result["cniVersion"]) == (0, "0.3.1")
    assert result["interfaces"] == [{"name": "pod1234567890a", "mac": MAC, "sandbox": pod.path}]
    link = json.loads(pod.run("ip", "-json", "-details", "link", "show", "pod1234567890a"))[0]
    assert (link["address"], link["mtu"], link["linkinfo"]["info_kind"]) == (MAC, 1400, "macvtap")
    assert link["ifindex"] == index, "QEMU finds the character device by this number"
    assert call("CHECK", node, pod) == (0, {})
    assert call("DEL", node, pod) == (0, {})
    assert call("DEL", node, pod) == (0, {}), "DEL is idempotent"
    assert "pod1234567890a" not in pod.run("ip", "-brief", "link")
    assert call("CHECK", node, pod)[0] == 1


@needs_root
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"deviceID": ""}, "no deviceID"),
        ({"deviceID": "absent"}, "ip failed"),
        ({"cniVersion": "9"}, "incompatible CNI version"),
    ],
)
def test_a_refusal_says_why(node: Namespace, pod: Namespace, change: dict[str, str], text: str) -> None:
    status, error = call("ADD", node, pod, CONFIG | change)
    assert (status, error["msg"]) == (1, text)


def test_what_is_offered() -> None:
    assert offers("", ["eth0", "eth1"]) == [Offer("eth0", "eth0"), Offer("eth1", "eth1")]
    text = '[{"name": "dataplane", "lowerDevice": "eth0", "mode": "bridge", "capacity": 2}]'
    (offer,) = offers(text, [])
    assert (offer.resource, offer.devices()) == (
        "macvtap.network.kubevirt.io/dataplane",
        ["dataplaneMvp0", "dataplaneMvp1"],
    )
    assert all(len(name) <= 15 for name in Offer("a-very-long-name", "eth0").devices())


@pytest.mark.parametrize(
    "text", ["{", "{}", "[1]", '[{"name": "a"}]', '[{"name": "a", "lowerDevice": "b", "mode": "x"}]']
)
def test_a_configuration_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="DP_MACVTAP_CONF"):
        offers(text, [])
