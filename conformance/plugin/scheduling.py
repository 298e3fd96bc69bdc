"""How checks are spread over xdist's workers."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

from conformance.plugin.sharding import family_of


def family_scheduling(config: pytest.Config, log: object) -> object:
    """xdist's scheduler that keeps a scope in one worker, the scope being the directory (largest first)."""
    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = family_of
    return scheduling
