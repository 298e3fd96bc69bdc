"""A cluster the user already has. It stays theirs: nothing is installed here but the binding under test."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from conformance.cluster.provider import Mode, Progress, ProviderError
from conformance.guest.image import DEFAULT
from conformance.images.lock import LockedImage, remarks
from conformance.kube.cluster import Cluster
from conformance.kube.errors import KubeError
from conformance.kube.registry import find_kubevirt
from conformance.model import Binding


class KubeconfigProvider:
    """Implements :class:`~conformance.cluster.provider.Provider` over a kubeconfig file."""

    mode: Mode = "kubeconfig"

    def __init__(self, kubeconfig: Path, context: str | None = None, images: Iterable[LockedImage] = ()) -> None:
        """``images`` are those that the run has there, to say what is known of them."""
        self._kubeconfig, self._context, self._images = kubeconfig, context, tuple(images)

    @property
    def guest(self) -> str:
        return DEFAULT

    @property
    def owned(self) -> bool:
        return False

    def export_logs(self, directory: Path) -> None:
        """Nothing: the nodes are not ours to look into."""

    def up(self, progress: Progress) -> Path:
        """Check that the cluster answers and has a KubeVirt."""
        progress(f"connecting to the cluster of {self._kubeconfig}")
        try:
            cluster = Cluster.connect(self._kubeconfig, self._context)
            try:
                find_kubevirt(cluster)
            finally:
                cluster.close()
        except KubeError as error:
            raise ProviderError(str(error)) from error
        for remark in remarks(self._images):
            progress(remark)
        return self._kubeconfig

    def load_artifacts(self, binding: Binding) -> None:
        """Nothing: this cluster pulls images from its registries, and its CNI plugins come with the manifests."""

    def nodes(self) -> list[str]:
        cluster = Cluster.connect(self._kubeconfig, self._context)
        try:
            return list(cluster.nodes())
        finally:
            cluster.close()

    def down(self) -> None:
        """Nothing: the cluster is not ours."""
