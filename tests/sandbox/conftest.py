"""Options of the tests on a sandbox."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("vendor", "a vendor's own binding, with the artifacts of its release")
    group.addoption("--vendor-binding", metavar="DEFINITION", help="judge this definition on the sandbox")
    fails = "a requirement that the vendor knows it to fail (may be repeated); any other has to pass"
    group.addoption("--vendor-guest", metavar="GUEST", help="the guest of its VMs, as `run --guest-image` takes it")
    group.addoption("--vendor-fails", action="append", default=[], metavar="ID", help=fails)
