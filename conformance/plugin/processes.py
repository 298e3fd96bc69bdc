"""Which hooks a pytest process gets: the one that the user started provisions, an xdist worker joins."""

from __future__ import annotations

import pytest

from conformance.plugin.controller import ControllerSession
from conformance.plugin.run import Handoff
from conformance.plugin.session import HANDOFF, ItemHooks, WorkerSession
from conformance.plugin.settings import Settings


def make_session_plugin(config: pytest.Config, settings: Settings) -> ItemHooks:
    """The hooks for this process, and what other plugins must know before they are configured."""
    if not getattr(config.option, "allure_report_dir", "none"):
        config.option.allure_report_dir = str(settings.report_dir / "allure-results")
    handed = getattr(config, "workerinput", {})
    if HANDOFF in handed:
        return WorkerSession(config, settings, Handoff.from_json(handed[HANDOFF]))
    return ControllerSession(config, settings)
