"""The server, as one object."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any, Dict, Iterator, Mapping, Optional, Sequence, Union
from urllib.parse import quote, urlencode

from .job import Job
from .session import Session, fresh_key
from .transport import Transport

Layout = Sequence[Mapping[str, Any]]


class Client:
    """A Descent server. Threads may share it.

    url: DESCENT_URL when not given, else http://127.0.0.1:8080.
    key: DESCENT_API_KEY when not given, else the file that DESCENT_API_KEY_FILE names, else none.
    timeout: seconds without a byte after which a request is tried again.
    attempts: how often one request is tried."""

    def __init__(self, url: Optional[str] = None, key: Optional[str] = None, timeout: Optional[float] = None,
                 attempts: int = 8):
        if timeout is None:
            timeout = float(os.environ.get("DESCENT_TIMEOUT_SECONDS", "60"))
        self.transport = Transport(url or os.environ.get("DESCENT_URL") or "http://127.0.0.1:8080",
                                   key or _key_from_environment(), timeout, attempts)

    # --- sessions

    def session(self, optimizer: str, coordinates: Optional[int] = None, layout: Optional[Layout] = None,
                **settings: Any) -> Session:
        """Begin an optimization with an optimizer: "name", "name:7" or "name@alias".

        Give `coordinates` or `layout` ([{"name": .., "shape": [..], "optimizer": ..?}, ..]); further settings:
        durability="strict" | "relaxed" | "memory", clip_norm, ttl_seconds, labels."""
        body: Dict[str, Any] = {"optimizer": optimizer, **settings}
        if coordinates is not None:
            body["coordinates"] = int(coordinates)
        if layout is not None:
            body["layout"] = [dict(entry) for entry in layout]
        return Session(self, self.call("POST", "/v1/sessions", body, create=True))

    def resume(self, session_id: str) -> Session:
        """Go on with a session, at the step where the server has it."""
        return Session(self, self.call("GET", "/v1/sessions/" + quote(session_id, safe="")))

    def sessions(self, **filters: str) -> Iterator[Dict[str, Any]]:
        """All sessions, page by page; filters: optimizer, state."""
        return self.pages("/v1/sessions", filters)

    # --- optimizers

    def optimizers(self) -> Iterator[Dict[str, Any]]:
        return self.pages("/v1/optimizers")

    def optimizer(self, name: str) -> Dict[str, Any]:
        return self.call("GET", _optimizer(name))

    def create_optimizer(self, name: str, family: str, config: Optional[Mapping[str, Any]] = None,
                         **more: Any) -> Dict[str, Any]:
        """A named optimizer; a hand-designed family has version 1 at once. more: description, labels."""
        body = {"name": name, "family": family, **more}
        if config is not None:
            body["config"] = dict(config)
        return self.call("POST", "/v1/optimizers", body, create=True)

    def delete_optimizer(self, name: str) -> None:
        self.call("DELETE", _optimizer(name))

    def versions(self, name: str) -> Iterator[Dict[str, Any]]:
        return self.pages(_optimizer(name) + "/versions")

    def version(self, name: str, version: int) -> Dict[str, Any]:
        return self.call("GET", _version(name, version))

    def delete_version(self, name: str, version: int) -> None:
        self.call("DELETE", _version(name, version))

    def upload(self, name: str, weights: Union[bytes, str, os.PathLike]) -> Dict[str, Any]:
        """Add a version from a safetensors file (its bytes or its path)."""
        data = weights if isinstance(weights, bytes) else pathlib.Path(weights).read_bytes()
        headers = {"Content-Type": "application/x-safetensors", "Idempotency-Key": fresh_key()}
        return self.transport.request("POST", _optimizer(name) + "/versions", data, headers).json()

    def download(self, name: str, version: int) -> bytes:
        """The weights of a version as a safetensors file."""
        return bytes(self.transport.request("GET", _version(name, version) + "/weights").body)

    def set_alias(self, name: str, alias: str, version: int) -> Dict[str, Any]:
        return self.call("PUT", f"{_optimizer(name)}/aliases/{quote(alias, safe='')}", {"version": int(version)})

    def aliases(self, name: str) -> Iterator[Dict[str, Any]]:
        return self.pages(_optimizer(name) + "/aliases")

    # --- jobs

    def submit(self, spec: Mapping[str, Any]) -> Job:
        """Start a job: {"type": "meta_train", ..} or {"type": "evaluate", ..}."""
        return Job(self, self.call("POST", "/v1/jobs", dict(spec), create=True))

    def job(self, job_id: str) -> Job:
        return Job(self, self.call("GET", "/v1/jobs/" + quote(job_id, safe="")))

    def jobs(self) -> Iterator[Dict[str, Any]]:
        return self.pages("/v1/jobs")

    # --- the rest

    def info(self) -> Dict[str, Any]:
        """Name, version, limits, families and problems of the server."""
        return self.call("GET", "/v1")

    def call(self, method: str, path: str, body: Optional[Mapping[str, Any]] = None, create: bool = False) -> Any:
        """A request with JSON both ways. `create`: sent twice, it still makes one."""
        headers = {"Idempotency-Key": fresh_key()} if create else {}
        data = None
        if body is not None:
            data = json.dumps(body, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        elif method in ("POST", "PUT", "PATCH"):
            data = b""
        return self.transport.request(method, path, data, headers).json()

    def pages(self, path: str, filters: Optional[Mapping[str, str]] = None) -> Iterator[Dict[str, Any]]:
        """The items of a list, its pages fetched as they are needed."""
        query = dict(filters or {}, page_size="1000")
        while True:
            page = self.call("GET", f"{path}?{urlencode(query)}")
            yield from page["items"]
            if not page.get("next_page_token"):
                return
            query["page_token"] = page["next_page_token"]

    def close(self) -> None:
        """Close the connections that are kept open."""
        self.transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _optimizer(name: str) -> str:
    return "/v1/optimizers/" + quote(name, safe="")


def _version(name: str, version: int) -> str:
    return f"{_optimizer(name)}/versions/{int(version)}"


def _key_from_environment() -> Optional[str]:
    if os.environ.get("DESCENT_API_KEY"):
        return os.environ["DESCENT_API_KEY"]
    path = os.environ.get("DESCENT_API_KEY_FILE")
    return pathlib.Path(path).read_text().strip() if path else None
