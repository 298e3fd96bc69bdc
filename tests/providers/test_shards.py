"""Two shards of a run, merged, come to the verdicts of one run that is not sharded."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.lacking import need_root
from tests.providers.session import verdicts
from tests.providers.somebody import Somebody, changes, somebody

REQUIREMENTS = ("REG-001", "DHCP-001", "CONN-001", "VM-001", "MTU-001")
"""Of five directories of checks, so that both shards have some."""

BINDING = "passt"


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Somebody]:
    need_root()
    with somebody(tmp_path_factory.mktemp("shards")) as found:
        yield found


def words(owner: Somebody, name: str, *more: object) -> list[str]:
    *run, _ = owner.run_options(BINDING, *REQUIREMENTS)
    return owner.command(*run, owner.directory / name, *more)


def judged(owner: Somebody, name: str, *more: object) -> dict[str, str]:
    ran = subprocess.run(
        words(owner, name, *more),
        env=owner.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode in (0, 1, 3), ran.stdout + ran.stderr
    return verdicts(owner.directory / name)


def merged(owner: Somebody, *names: str) -> dict[str, str]:
    together = owner.directory / f"{names[0]}-merged"
    done = owner.call("verify", "--merge", *(owner.directory / name for name in names), "--report-dir", together)
    assert done.returncode in (0, 1, 3), done.stdout + done.stderr
    return verdicts(together)


@pytest.mark.slow
def test_shards_come_to_the_verdicts_of_the_whole(owner: Somebody) -> None:
    """One after the other, each registering for itself."""
    before = owner.snapshot()
    whole = judged(owner, "whole")
    assert set(whole) == set(REQUIREMENTS)
    parts = [judged(owner, f"after-{index}", "--shard", f"{index}/2") for index in (1, 2)]
    assert all(parts), "each shard has a part"
    assert not parts[0].keys() & parts[1].keys()
    assert merged(owner, "after-1", "after-2") == whole

    assert changes(before, owner.snapshot()) == []
