"""The parts of the official client that carry no types, behind typed names. The only importer of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import urllib3
from kubernetes import config as kube_config
from kubernetes.client import ApiClient, Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ResourceNotFoundError, ResourceNotUniqueError
from kubernetes.stream.ws_client import create_websocket

from conformance.kube.errors import KindUnknown, Unusable
from conformance.kube.manifest import Kind

CALL_SECONDS = (10.0, 60.0)


class Answer(Protocol):
    """What we use of ``urllib3.HTTPResponse``."""

    @property
    def data(self) -> bytes: ...

    def stream(self, amt: int | None, decode_content: bool) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class WebSocket(Protocol):
    """What we use of ``websocket.WebSocket``. ``sock`` is the TCP or TLS socket."""

    sock: Any

    def getheaders(self) -> Mapping[str, str] | None: ...

    def recv_data(self, control_frame: bool = False) -> tuple[int, bytes]: ...

    def send(self, payload: bytes, opcode: int) -> int: ...

    def ping(self, payload: str = "") -> None: ...

    def settimeout(self, seconds: float | None) -> None: ...

    def close(self) -> None: ...


connect_websocket = cast("Callable[[Configuration, str, Mapping[str, str]], WebSocket]", create_websocket)
_load_config = cast("Callable[..., None]", kube_config.load_kube_config)
_dynamic_client = cast("Callable[..., Any]", DynamicClient)


def configuration(kubeconfig: Path | str, context: str | None) -> Configuration:
    """The client configuration in a kubeconfig file. Raises Unusable when there is none."""
    loaded = Configuration()
    try:
        _load_config(config_file=str(kubeconfig), context=context, client_configuration=loaded, persist_config=False)
    except (ConfigException, OSError, ValueError) as error:
        raise Unusable(
            f"kubeconfig {kubeconfig}: {error}; give the path of a readable kubeconfig, and a context it has"
        ) from error
    if loaded.proxy and not str(loaded.proxy).startswith("http://"):
        # the client's websockets (console, exec, portforward) know no other
        raise Unusable(
            f"kubeconfig {kubeconfig}: proxy-url {loaded.proxy}: only an http:// proxy carries every kind of request; "
            "give one, in the kubeconfig or as spec.proxy.url of a site file"
        )
    # repeat what certainly did not reach the server, nothing else
    loaded.retries = urllib3.Retry(total=2, connect=2, read=0, redirect=0, status=0, other=0)
    return loaded


class Requests:
    """The dynamic client reduced to: where is a kind served, and one request."""

    def __init__(self, api_client: ApiClient, cache_file: Path | None) -> None:
        self._client = _dynamic_client(api_client, cache_file=str(cache_file) if cache_file else None)

    def path(self, kind: Kind, name: str | None, namespace: str | None) -> str:
        """The URL path of a kind or of one object. Raises KindUnknown."""
        return str(self._resource(kind).path(name=name, namespace=namespace))

    def plural(self, kind: Kind) -> str:
        """The resource name of a kind, as RBAC knows it. Raises KindUnknown."""
        return str(self._resource(kind).name)

    def _resource(self, kind: Kind) -> Any:
        try:
            return self._client.resources.get(api_version=kind.api_version, kind=kind.kind)
        except (ResourceNotFoundError, ResourceNotUniqueError) as error:
            raise KindUnknown(
                f"the cluster does not serve {kind.api_version} {kind.kind}; install what provides it"
            ) from error

    def send(
        self,
        method: str,
        path: str,
        *,
        accept: str = "application/json",
        timeout: tuple[float, float] = CALL_SECONDS,
        **options: Any,
    ) -> Answer:
        """One request; ``options`` are those of ``DynamicClient.request``. Raises ApiException or a urllib3 error."""
        # the dynamic client appends to its own default lists and dicts: pass fresh ones
        answer: Answer = self._client.request(
            method,
            path,
            serialize=False,
            query_params=[],
            header_params={"Accept": accept},
            _request_timeout=timeout,
            **options,
        )
        return answer


def json_body(answer: Answer) -> dict[str, Any]:
    """The JSON object in an answer; an empty body is an empty object."""
    return dict(json.loads(answer.data or b"{}"))
