"""Who a run speaks as: the installer of the binding's manifests, the registrar, and the runner of the checks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from conformance.kube.cluster import Cluster
from conformance.kube.ledger import Ledger, Record

DEREGISTER = "deregister"


@dataclass(frozen=True)
class Login:
    """A kubeconfig file, and a context of it (None: its current one)."""

    kubeconfig: str
    context: str | None = None


@dataclass(frozen=True)
class Logins:
    """The three of a run; on somebody's cluster they may all be the user's own."""

    installer: Login
    registrar: Login
    runner: Login

    @classmethod
    def same(cls, login: Login) -> Logins:
        return cls(login, login, login)


class Connections:
    """The connections of one process, each opened at first use and closed together.

    ``ledger`` gives the ledger of a part by name; ``discovery`` is the file where they keep discovery documents.
    """

    def __init__(self, logins: Logins, ledger: Callable[[str], Ledger], discovery: Path | None = None) -> None:
        self.logins = logins
        self._ledger, self._discovery = ledger, discovery
        self._open: dict[str, Cluster] = {}

    @property
    def installer(self) -> Cluster:
        return self._connection("installer", self.logins.installer)

    @property
    def registrar(self) -> Cluster:
        return self._connection("registrar", self.logins.registrar)

    @property
    def runner(self) -> Cluster:
        return self._connection("runner", self.logins.runner)

    def of(self, record: Record, namespaces: Collection[str]) -> Cluster:
        """Who undoes a record: ``namespaces`` are those that the runner has rights in."""
        if record.how == DEREGISTER:
            return self.registrar
        return self.runner if record.ref.namespace in namespaces else self.installer

    def close(self) -> None:
        for cluster in self._open.values():
            cluster.close()
        self._open.clear()

    def _connection(self, part: str, login: Login) -> Cluster:
        if part not in self._open:
            self._open[part] = Cluster.connect(
                login.kubeconfig, login.context, cache_file=self._discovery, ledger=self._ledger(part)
            )
        return self._open[part]
