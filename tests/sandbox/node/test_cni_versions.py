"""A binding's CNI plugin speaks the version of its configuration, from 0.3.1 to 1.0.0; and how it fails in each way."""

import re

import pytest

from tests.sandbox.node.conftest import Observe
from tests.sandbox.node.test_network import ADD_ERROR

pytestmark = pytest.mark.sandbox

STATUS = [
    {
        "name": "shop/versions",
        "interface": "net1",
        "ips": ["192.0.2.7", "2001:db8::7"],
        "mac": "02:00:00:00:00:09",
        "dns": {},
    }
]


def test_each_version_is_handed_on_and_its_result_understood(inside: Observe) -> None:
    seen = inside("cniversions:every_version")
    assert list(seen) == ["0.3.1", "0.4.0", "1.0.0"]
    for version, case in seen.items():
        assert case["status"] == STATUS, version
        assert {call[1] for call in case["calls"]} == {version}
        first, second = case["calls"][:2]
        assert (first[0], first[2], second[0]) == ("ADD", None, "ADD")
        families = [entry.get("version") for entry in second[2]["ips"]]
        assert families == ([None, None] if version == "1.0.0" else ["4", "6"]), "the previous result as it was given"
        later = [(command, bool(previous)) for command, _, previous in case["calls"][2:]]
        if version == "0.3.1":
            assert case["checked"] == 'configuration version "0.3.1" does not support the CHECK command'
            assert later == [("DEL", False)] * 2, "a previous result for DEL, and CHECK itself, came with 0.4.0"
        else:
            assert case["checked"] == "ok"
            assert later == [("CHECK", True)] * 2 + [("DEL", True)] * 2


def test_a_newer_result_is_given_back_in_the_version_of_the_configuration(inside: Observe) -> None:
    seen = inside("cniversions:newer_than_asked")
    assert seen["status"] == STATUS
    assert seen["previous"]["cniVersion"] == "0.4.0"
    assert [entry["version"] for entry in seen["previous"]["ips"]] == ["4", "6"]


def test_a_plugin_that_does_not_make_itself_understood(inside: Observe) -> None:
    seen = inside("cniversions:refused")
    words = {name: re.sub(r"[0-9a-f]{64}", "<id>", case["message"]) for name, case in seen["cases"].items()}
    of_plugin = {
        "mute": "netplugin failed with no error message: exit status 7",
        "grumbles": 'netplugin failed: "out of memory\\n"',
        "garbled": (
            'netplugin failed but error parsing its diagnostic message "{\\"code\\": 7,\\n": '
            "unexpected end of JSON input"
        ),
    }
    of_probe = {
        "future": 'unsupported CNI result version "2.0.0"',
        "no-list": "json: cannot unmarshal string into Go struct field Result.ips of type []*types100.IPConfig",
        "no-address": "invalid CIDR address: here",
        "too-old": 'incompatible CNI versions; config is "1.0.0", plugin supports ["0.3.1" "0.4.0"]',
    }
    for name, text in {**of_plugin, **of_probe}.items():
        plugin = name if name in of_plugin else "probe"
        assert words.pop(name) == ADD_ERROR.format(name) + f'plugin type="{plugin}" failed (add): {text}'
    deadline = "Failed to create pod sandbox: rpc error: code = DeadlineExceeded desc = context deadline exceeded"
    assert words == {"hangs": deadline}
    assert seen["cases"]["hangs"]["events"][-1] == ["kubelet", "Warning", "FailedCreatePodSandBox", deadline]
    assert seen["sleepers"].strip() == "0", "the plugin that hung is gone"
    assert seen["after"] == seen["before"]
