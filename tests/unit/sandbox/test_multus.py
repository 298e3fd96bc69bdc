"""The networks annotation, in both its forms, and the words for what is wrong with it."""

import pytest

from conformance.sandbox.network.cni import CniError, inject_cni_args, load_conf
from conformance.sandbox.network.gojson import GoJsonError, parse_object
from conformance.sandbox.network.multus import Delegate, MultusError, Selection, parse_networks


def test_the_short_form() -> None:
    assert parse_networks("blue, shop/red@eth7,green", "here") == [
        Selection("here", "blue"),
        Selection("shop", "red", "eth7"),
        Selection("here", "green"),
    ]


def test_the_json_form_as_kubevirt_writes_it() -> None:
    text = (
        '[{"name":"sec","namespace":"default","interface":"podd388a6c6411","mac":"02:00:00:00:00:01"},'
        '{"name":"binding","cni-args":{"logicNetworkName":"sec1"}},{"name":"fixed","ips":["192.0.2.1/24","fd00::1"]}]'
    )
    assert parse_networks(text, "shop") == [
        Selection("default", "sec", "podd388a6c6411", "02:00:00:00:00:01"),
        Selection("shop", "binding", cni_args={"logicNetworkName": "sec1"}),
        Selection("shop", "fixed", ips=("192.0.2.1/24", "fd00::1")),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a/b/c", "Invalid network object (failed at '/')"),
        ("a@b@c", "Invalid network object (failed at '@')"),
        ("Blue", "mismatch @ 'Blue'"),
        ("blue@" + "x" * 16, "must be less than 15 chars"),
        ("[{]", "invalid character ']' looking for beginning of object key string"),
        ('{"name":"x"}', "json: cannot unmarshal object into Go value"),
        ('[{"name":"x","mac":"nonsense"}]', "failed to mac: address nonsense: invalid MAC address"),
        ('[{"name":"x","ips":["1.2.3"]}]', 'failed to parse IP address "1.2.3"'),
        ('[{"name":"x","ips":["1.2.3.4/99"]}]', 'failed to parse CIDR "1.2.3.4/99": invalid CIDR address: 1.2.3.4/99'),
    ],
)
def test_what_is_wrong_is_said_as_multus_says_it(text: str, words: str) -> None:
    with pytest.raises(MultusError) as caught:
        parse_networks(text, "here")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "unexpected end of JSON input"),
        (b'{"a": ', "unexpected end of JSON input"),
        (b'{"a": "b', "unexpected end of JSON input"),
        (b"hello {}", "invalid character 'h' looking for beginning of value"),
        (b"{} hello", "invalid character 'h' after top-level value"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a": 1 "b"}', "invalid character '\"' after object key:value pair"),
        (b"[1]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
        (b"true", "json: cannot unmarshal bool into Go value of type map[string]interface {}"),
    ],
)
def test_json_errors_are_those_of_go(data: bytes, words: str) -> None:
    with pytest.raises(GoJsonError) as caught:
        parse_object(data)
    assert str(caught.value) == words


def test_null_is_an_empty_object() -> None:
    assert parse_object(b" null\n") == {}


def test_interface_names_and_capabilities() -> None:
    conf = load_conf(b'{"name": "n", "type": "t"}')
    assert Delegate("n", conf, master=True).ifname(0) == "eth0"
    assert Delegate("n", conf).ifname(3) == "net3"
    assert Delegate("n", conf, interface="pod1").ifname(3) == "pod1"
    assert Delegate("n", conf, mac="02:00:00:00:00:01", ips=("192.0.2.1",)).capability_args() == {
        "mac": "02:00:00:00:00:01",
        "ips": ["192.0.2.1"],
    }
    assert Delegate("n", conf, master=True, mac="02:00:00:00:00:01").capability_args() == {}


def test_arguments_are_merged_into_every_plugin() -> None:
    conf = load_conf(b'{"name": "n", "plugins": [{"type": "a"}, {"type": "b", "args": {"cni": {"x": 1}, "own": 2}}]}')
    merged = inject_cni_args(conf, {"logicNetworkName": "blue"})
    assert [plugin["args"] for plugin in merged.plugins] == [
        {"cni": {"logicNetworkName": "blue"}},
        {"cni": {"x": 1, "logicNetworkName": "blue"}, "own": 2},
    ]
    assert load_conf(merged.raw).plugins == merged.plugins


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'{"plugins": [{"type": "a"}]}', "error parsing configuration list: no name"),
        (b'{"name": "n", "plugins": []}', "error parsing configuration list: no plugins in list"),
        (b'{"name": "n", "plugins": [{}]}', "failed to parse plugin config 0: error parsing configuration"),
        (b"nonsense", "error parsing configuration: invalid character 'n'"),
    ],
)
def test_a_bad_configuration_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(CniError) as caught:
        load_conf(raw)
    assert words in str(caught.value)
