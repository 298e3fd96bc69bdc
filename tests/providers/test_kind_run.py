"""A whole run on `--cluster kind`: the cluster made, a VM judged on it, the cluster removed.

Docker and kind are fakes (tests/kind/fakes), and so are the parts of KubeVirt's and Multus' releases that the provider
waits for (tests/kind/played.py): what they hand out is a sandbox. Everything after that is real: the provider, the run,
the VM. What fakes cannot show is whether a release's images run: tests/kind/test_real.py does, where there is Docker.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from conformance.cluster.sandbox import SandboxProvider
from conformance.images.bundle import LOCK
from conformance.images.lock import ImagesLock, Part
from conformance.model import load_binding
from conformance.sandbox import daemon
from tests.kind.conftest import Workshop, make_workshop
from tests.kind.machine import PLUGIN
from tests.kind.played import played
from tests.lacking import need_root
from tests.providers.session import judge, verdicts
from tests.providers.somebody import BINDINGS

IDLE = "#!/bin/sh\nexec sleep infinity\n"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """The fakes on PATH; the cluster that they hand out is a sandbox."""
    need_root()
    directory, path = tmp_path_factory.mktemp("kind"), os.environ["PATH"]
    with pytest.MonkeyPatch.context() as patch:
        made = make_workshop(directory, patch)
        patch.setenv("PATH", os.pathsep.join([str(made.path / "bin"), path]))
        patch.setenv("FAKE_MACHINE", str(made.machine.root))
        (made.machine.root / "dev/kvm").unlink()  # the sandbox's nodes emulate
        options = daemon.Options(state_dir=Path(f"/run/kbc-k{os.getpid()}"))
        with daemon.start(options, lambda _stage, _fraction: None) as running:
            provider = SandboxProvider(attach_to=options.state_dir)
            provider.up(lambda _: None)
            # what the fake `kind load` would have put into the nodes
            for definition in (BINDINGS / "managedtap.yaml", idle_images(directory, made)):
                provider.load_artifacts(load_binding(definition))
            shutil.copy(running.kubeconfig, made.state / "cluster.kubeconfig")
            yield made


def idle_images(directory: Path, workshop: Workshop) -> Path:
    """A definition that brings the images of Multus and of the played virt-handler, which do nothing."""
    layer = directory / "idle"
    layer.mkdir()
    (layer / "idle").write_text(IDLE)
    (layer / "idle").chmod(0o755)
    multus = [i.reference for i in ImagesLock(workshop.bundle / LOCK).images if i.part is Part.MULTUS]
    definition = yaml.safe_load((BINDINGS / "managedtap.yaml").read_text())
    definition["spec"].pop("manifests")
    images = [{"name": name, "layer": "idle", "command": ["/idle"]} for name in (*multus, "an-image")]
    definition["spec"]["artifacts"] = {"images": images}
    path = directory / "idle.yaml"
    path.write_text(yaml.safe_dump(definition))
    return path


def test_a_cluster_is_made_used_and_removed(workshop: Workshop, tmp_path: Path) -> None:
    with played(workshop.state / "cluster.kubeconfig", has_nodes=True):
        where = ("--cluster", "kind", "--kind", f"bundle={workshop.bundle}", "-p", PLUGIN)
        ran = judge("managedtap", tmp_path, *where, "--requirement", "CONN-001")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert verdicts(tmp_path / "managedtap") == {"CONN-001": "conformant"}
    calls = [" ".join(call.split()[:3]) for call in workshop.calls() if call.startswith("kind ")]
    assert calls[-1] == "kind delete cluster"
    assert [call for call in calls if call == "kind create cluster"] == ["kind create cluster"]
    assert not (workshop.state / "clusters").read_text(), "the cluster is gone"
    assert not list((tmp_path / "state").glob("*/runs/*")), "and the run left nothing"
