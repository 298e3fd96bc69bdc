"""The hand-written hook API messages against bytes that protoc's output would give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.hooks.messages import CloudInitCall, DomainCall, HookPoint, Info
from conformance.protowire import decode_fields

# name "passt", hookPoints {OnDefineDomain, priority 1}, versions v1alpha2, written by hand from the field numbers.
_INFO = b"\x0a\x05passt" + b"\x1a\x12" + b"\x0a\x0eOnDefineDomain" + b"\x10\x01" + b"\x22\x08v1alpha2"


def test_info_is_encoded_with_the_protos_field_numbers() -> None:
    info = Info("passt", (HookPoint("OnDefineDomain", 1),), ("v1alpha2",))
    assert info.encode() == _INFO
    assert Info.decode(_INFO) == info


def test_negative_priority_survives() -> None:
    info = Info("x", (HookPoint("Shutdown", -5),), ())
    assert Info.decode(info.encode()) == info


def test_unknown_fields_are_skipped() -> None:
    unknown = b"\x28\x07" + b"\x31" + b"\0" * 8 + b"\x3d" + b"\0" * 4 + b"\x42\x01z"
    assert Info.decode(unknown + _INFO).name == "passt"


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05ab", b"\x0b\x00", b"\xff" * 11])
def test_malformed_messages_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut short|wire type"):
        decode_fields(data)


@given(st.binary(), st.binary(), st.binary())
def test_calls_round_trip(first: bytes, second: bytes, third: bytes) -> None:
    assert DomainCall.decode(DomainCall(first, second).encode()) == DomainCall(first, second)
    assert CloudInitCall.decode(CloudInitCall(first, second, third).encode()) == CloudInitCall(first, second, third)
