"""A real kind cluster, where this machine can have one: Docker or Podman, kind, and the images."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.cluster.kind import KindProvider
from conformance.cluster.kindconfig import KindOptions
from conformance.cluster.kindhost import preflight
from conformance.host.finding import obstacles
from conformance.kube.cluster import Cluster
from conformance.kube.registry import find_kubevirt
from conformance.model import SkipReason
from tests.kind.conftest import ROOT
from tests.lacking import skip

OPTIONS = KindOptions(name="binding-conformance-test")


@pytest.mark.slow
def test_a_real_cluster_comes_up_and_goes(tmp_path: Path) -> None:
    lacking = obstacles(preflight(OPTIONS))
    if lacking:
        reasons = "; ".join(f"{finding.name}: {finding.detail}" for finding in lacking)
        skip(SkipReason.ENVIRONMENT_LACKS, reasons)
    kind = KindProvider(OPTIONS, ROOT, tmp_path / "logs")
    kubeconfig = kind.up(print)
    try:
        cluster = Cluster.connect(kubeconfig)
        assert len(cluster.nodes()) == 2
        assert find_kubevirt(cluster)["status"]["phase"] == "Deployed"
        cluster.close()
    finally:
        kind.down()
    assert not kind.kubeconfig.exists()
