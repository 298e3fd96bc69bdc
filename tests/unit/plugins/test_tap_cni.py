"""The tap CNI plugin as libcni runs it: the tap beside the right pod interface, and nothing left after DEL."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.plugins.namespaces import Namespace, namespace, needs_root

PLUGIN = Path(__file__).parents[3] / "fixtures/plugins/tap_cni/cni_tap_binding_plugin.py"
DIGITS = hashlib.sha256(b"blue").hexdigest()[:11]
CONFIG = {"cniVersion": "1.0.0", "name": "net", "args": {"cni": {"logicNetworkName": "blue"}}}

pytestmark = needs_root


@pytest.fixture
def pod() -> Iterator[Namespace]:
    """A pod with its primary interface, of MTU 1400."""
    with namespace() as made:
        made.run("ip", "link", "add", "eth0", "mtu", "1400", "type", "veth", "peer", "name", "far0")
        yield made


def call(command: str, pod: str, **changes: object) -> tuple[int, dict[str, object]]:
    environment = {**os.environ, "CNI_COMMAND": command, "CNI_CONTAINERID": "c", "CNI_NETNS": pod, "CNI_IFNAME": "net1"}
    text = json.dumps({**CONFIG, **changes})
    done = subprocess.run([PLUGIN], input=text, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout or "{}")


@pytest.mark.parametrize(("secondary", "tap"), [(False, "tap0"), (True, f"tap{DIGITS}")])
def test_the_tap_stands_beside_the_interface_of_its_network(pod: Namespace, secondary: bool, tap: str) -> None:
    if secondary:
        pod.run("ip", "link", "add", f"pod{DIGITS}", "mtu", "1400", "type", "veth", "peer", "name", "far1")
    before = pod.run("ip", "-brief", "link")
    status, result = call("ADD", pod.path)
    assert (status, result["interfaces"]) == (0, []), "no sandbox interface is reported"
    link = json.loads(pod.run("ip", "-json", "-details", "link", "show", tap))[0]
    assert (link["mtu"], link["linkinfo"]["info_kind"]) == (1400, "tun")
    assert "mirred" in pod.run("tc", "filter", "show", "dev", tap, "ingress")
    assert call("CHECK", pod.path) == (0, {})
    assert call("DEL", pod.path) == (0, {})
    assert call("DEL", pod.path) == (0, {}), "DEL is idempotent"
    assert pod.run("ip", "-brief", "link") == before
    assert call("DEL", "/no/such/namespace") == (0, {})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"args": {}}, "no logicNetworkName in args.cni"),
        ({"cniVersion": "0.1.0"}, "incompatible CNI version"),
    ],
)
def test_a_refusal_says_why(pod: Namespace, changes: dict[str, object], text: str) -> None:
    status, error = call("ADD", pod.path, **changes)
    assert (status, error["msg"]) == (1, text)
