from __future__ import annotations

import pytest

from conformance.kube.wait import wait_for
from fixtures.migrations import Migration, ended_well


@pytest.mark.xdist_group("migration")
@pytest.mark.requirement("MIG-011")
def test_source_pod_ends(migration: Migration) -> None:
    """Within 30 s of the migration the source pod has succeeded or is gone.

    Preconditions:
    * A migrated VM.

    Steps:
    1. Follow the pod that it came from.

    Expected:
    * It ends as Succeeded, or is gone, within the time limit.
    """
    run = migration.machine.run
    deadline = migration.deadline(run.timeouts.source_pod_gone)
    wait_for(run.cluster, migration.result.source_pod, "the source pod Succeeded or is gone", ended_well, deadline)
