"""A container registry asked over its HTTP API (OCI distribution specification): what a tag stands for."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

import urllib3

from conformance.images.lock import repository_of
from conformance.kube.outcome import EnvironmentFault

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# where the name in a reference is not the host that serves it
_HOSTS = {"docker.io": "registry-1.docker.io"}
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class RegistryError(EnvironmentFault):
    """A registry that cannot be asked, or that does not know the image. Names registry and reference."""


class Registries:
    """Every registry there is; ``mirrors`` maps the host in a reference to another base URL."""

    def __init__(self, mirrors: Mapping[str, str] | None = None, seconds: float = 20.0) -> None:
        self._mirrors = dict(mirrors or {})
        self._http = urllib3.PoolManager(timeout=seconds, retries=urllib3.Retry(total=2, redirect=5))

    def digest(self, reference: str) -> str:
        """The digest of ``host/path:tag``: that of the index where there are several platforms. Raises RegistryError.

        It is computed from the manifest itself, and must be the one the registry names.
        """
        repository = repository_of(reference)
        tag = reference.partition("@")[0].removeprefix(repository).removeprefix(":") or "latest"
        host, _, path = repository.partition("/")
        url = f"{self._base(host)}/v2/{path}/manifests/{tag}"
        answer = self._get(url, reference, {"Accept": ", ".join(_MANIFESTS)})
        computed = "sha256:" + hashlib.sha256(answer.data).hexdigest()
        named = answer.headers.get("Docker-Content-Digest", computed)
        if named != computed:
            raise RegistryError(f"{host} answers for {reference} with digest {named}, its manifest has {computed}")
        return computed

    def answering(self, host: str) -> str:
        """The URL of the API of the registry that serves ``host``, once it answers. Raises RegistryError."""
        url = f"{self._base(host)}/v2/"
        self._request(url, host, {}, accept_401=True)
        return url

    def file(self, url: str) -> bytes:
        """A published file. Raises RegistryError."""
        return bytes(self._request(url, url, {}).data)

    def _base(self, host: str) -> str:
        if host in self._mirrors:
            return self._mirrors[host].rstrip("/")
        scheme = "http" if host.rpartition(":")[0] in _LOCAL or host in _LOCAL else "https"
        return f"{scheme}://{_HOSTS.get(host, host)}"

    def _get(self, url: str, reference: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """With the anonymous token that most registries want for public images."""
        answer = self._request(url, reference, headers, accept_401=True)
        if answer.status != 401:
            return answer
        challenge = answer.headers.get("WWW-Authenticate", "")
        words = dict(_CHALLENGE.findall(challenge))
        if not challenge.lower().startswith("bearer ") or "realm" not in words:
            raise RegistryError(f"{reference}: the registry wants an account ({challenge or 'it does not say which'})")
        fields = {key: words[key] for key in ("service", "scope") if key in words}
        token = json.loads(self._request(words["realm"], reference, {}, fields=fields).data)
        bearer = token.get("token") or token.get("access_token")
        return self._request(url, reference, {**headers, "Authorization": f"Bearer {bearer}"})

    def _request(
        self,
        url: str,
        what: str,
        headers: Mapping[str, str],
        *,
        fields: Mapping[str, str] | None = None,
        accept_401: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        try:
            answer = self._http.request("GET", url, headers=headers, fields=fields)
        except urllib3.exceptions.HTTPError as error:
            raise RegistryError(f"{what}: {url} cannot be reached: {error}") from error
        if answer.status == 200 or (accept_401 and answer.status == 401):
            return answer
        text = answer.data[:200].decode("utf-8", "replace").strip()
        raise RegistryError(f"{what}: {url} answers HTTP {answer.status} {text}")
