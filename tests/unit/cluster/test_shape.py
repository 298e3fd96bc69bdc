"""What can be asked of the sandbox's cluster, and how a wrong word is answered."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from conformance.cli import running
from conformance.cli.main import app
from conformance.cluster.shape import USUAL, ImpossibleShape, Shape

runner = CliRunner()


def test_what_is_not_said_is_as_usual_and_what_is_said_comes_back() -> None:
    assert Shape.parse() == USUAL
    assert not any(USUAL.words().values())
    shape = Shape.parse("3", "8900", "sticky")
    assert shape == Shape(3, 8900, "sticky")
    assert shape.words() == {"nodes": "3", "pod-mtu": "8900", "ip-provider": "sticky"}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--nodes", "0"], "--nodes 0: give a whole number from 1 to 16"),
        (["--nodes", "17"], "--nodes 17: give a whole number from 1 to 16"),
        (["--nodes", "two"], "--nodes two: give a whole number"),
        (["--pod-mtu", "1279"], "--pod-mtu 1279: give a whole number from 1280 to 65535"),
        (["--pod-mtu", "65536"], "--pod-mtu 65536: give a whole number"),
        (["--pod-mtu", "²"], "--pod-mtu ²: give a whole number"),
        (["--ip-provider", "dhcp"], "--ip-provider dhcp: not one of routed, sticky"),
        (["--nodes", "3", "--cluster", "kind"], "--nodes 3: only the sandbox's can be chosen"),
        (["--ip-provider", "routed", "--cluster", "kind"], "--ip-provider routed: only the sandbox's can be chosen"),
    ],
)
@pytest.mark.parametrize("command", [["up"], ["run", "passt"]])
def test_a_bad_word_ends_with_two_before_anything_starts(
    command: list[str], words: list[str], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_session", lambda _: pytest.fail("a session was started"))
    result = runner.invoke(app, [*command, *words])
    assert result.exit_code == 2, result.output
    assert complaint in result.output.replace("\n", " ")


def test_bindings_for_different_providers_do_not_share_a_sandbox() -> None:
    result = runner.invoke(app, ["run", "managedtap", "managedtap-sticky"])
    assert result.exit_code == 2, result.output
    assert "managedtap-sticky: sticky" in result.output.replace("\n", " ")
    assert "run them apart" in result.output.replace("\n", " ")


def test_the_user_knows_better_than_the_binding() -> None:
    from conformance.model import load_binding, resolve
    from conformance.plugin.paths import fixtures_directory

    sticky, plain = (load_binding(resolve(n, fixtures_directory())) for n in ("managedtap-sticky", "managedtap"))
    assert USUAL.meant_for(sticky).ip_provider == "sticky"
    assert USUAL.meant_for(plain) == USUAL
    assert Shape.parse(ip_provider="routed").meant_for(sticky).ip_provider == "routed"
    with pytest.raises(ImpossibleShape):
        Shape(ip_provider="sticky").require("kubeconfig")
