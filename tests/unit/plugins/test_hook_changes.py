"""What a hook did to a domain besides its own interface, in words that name the part."""

from __future__ import annotations

import pytest

from fixtures.hookdomain import changes, given_domain, parsed

VMI = {"metadata": {"namespace": "ns", "name": "vm", "uid": "1"}}
OWN = ["ua-main"]
GIVEN = given_domain(VMI, ["main"], "")


def made_of(before: str, after: str) -> list[str]:
    """The changes of a hook that puts one text for another."""
    assert before.encode() in GIVEN
    return changes(parsed(GIVEN), parsed(GIVEN.replace(before.encode(), after.encode())), OWN)


def test_a_hook_that_changes_nothing_has_no_changes() -> None:
    assert made_of("<features>", "<features>") == []


def test_an_argument_for_qemu_that_is_lost_is_shown() -> None:
    assert made_of('<qemu:arg value="-fw_cfg" />', "") == [
        'qemu:arg is gone or changed: <qemu:arg value="-fw_cfg"></qemu:arg>'
    ]


def test_a_changed_part_is_gone_and_new() -> None:
    assert made_of('<vcpu placement="static">1<', '<vcpu placement="static">2<') == [
        'vcpu is gone or changed: <vcpu placement="static">1</vcpu>',
        "vcpu is new",
    ]


@pytest.mark.parametrize(
    ("added", "found"),
    [
        ('<interface type="ethernet"><alias name="ua-main" /></interface>', []),
        ('<interface type="user"><alias name="ua-wrong" /></interface>', []),
        ('<interface type="user" /><interface type="ethernet"><alias name="ua-main" /></interface>', ["another"]),
    ],
)
def test_as_many_interfaces_may_be_new_as_the_binding_has(added: str, found: list[str]) -> None:
    changed = made_of("<devices>", f"<devices>{added}")
    assert [change.split()[0] for change in changed] == found


def test_of_a_long_part_the_beginning_is_shown() -> None:
    (change,) = made_of("name=opt/com.coreos/config", "name=opt/other")[:1]
    assert change.endswith(" ...") or len(change) < 170
