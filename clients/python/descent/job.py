"""Long work on the server: meta-training and evaluation."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, NamedTuple, Optional
from urllib.parse import quote

from .errors import ConnectionFailed, Error

if TYPE_CHECKING:
    from .client import Client

FINISHED = ("succeeded", "failed", "cancelled")


class Event(NamedTuple):
    id: str
    kind: str  # "state", "progress", "metric", "log" or "done"
    data: Any


class JobFailed(Error):
    """The job ended otherwise than by success; `info` is all that the server says of it."""

    def __init__(self, info: Mapping[str, Any]):
        self.info = dict(info)
        super().__init__(f"job {info['id']} {info['state']}: {info.get('error') or 'no reason given'}")


class Job:
    """A handle on one job; made by Client.submit and Client.job."""

    def __init__(self, client: "Client", info: Mapping[str, Any]):
        self._client = client
        self.id: str = info["id"]
        self._path = "/v1/jobs/" + quote(self.id, safe="")

    def info(self) -> Dict[str, Any]:
        return self._client.call("GET", self._path)

    def cancel(self) -> Dict[str, Any]:
        return self._client.call("POST", self._path + "/cancel")

    def pause(self) -> Dict[str, Any]:
        return self._client.call("POST", self._path + "/pause")

    def resume(self) -> Dict[str, Any]:
        return self._client.call("POST", self._path + "/resume")

    def delete(self) -> None:
        self._client.call("DELETE", self._path)

    def events(self, after: Optional[str] = None, attempts: int = 8) -> Iterator[Event]:
        """Every event from the first (or from the one after `after`) until the job is done, as they happen.

        A lost connection is taken up again where it was, at most `attempts` times in a row without news."""
        silent = 0
        while True:
            try:
                for event in _parse(self._client.transport.stream(self._path + "/events", _resume_from(after))):
                    silent, after = 0, event.id or after
                    yield event
                    if event.kind == "done":
                        return
            except (OSError, http.client.HTTPException) as reason:
                cause: Optional[BaseException] = reason
            else:
                cause = None
            silent += 1
            if silent >= attempts:
                raise ConnectionFailed(f"the events of job {self.id} broke off {silent} times") from cause
            time.sleep(min(5.0, 0.1 * 2**silent))

    def wait(self) -> Dict[str, Any]:
        """Follow the job to its end; returns its result. Raises JobFailed when it did not succeed."""
        for _ in self.events():
            pass
        info = self.info()
        if info["state"] != "succeeded":
            raise JobFailed(info)
        return info["result"]


def _resume_from(after: Optional[str]) -> Dict[str, str]:
    headers = {"Accept": "text/event-stream"}
    if after is not None:
        headers["Last-Event-ID"] = after
    return headers


def _parse(response: http.client.HTTPResponse) -> Iterator[Event]:
    """Server-Sent Events (WHATWG HTML, 9.2) until the connection ends."""
    with response:
        ident, kind = "", "message"
        data: List[str] = []
        for raw in response:
            line = raw.decode("utf-8").rstrip("\r\n")
            name, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if not line:
                if data:
                    yield Event(ident, kind, json.loads("\n".join(data)))
                kind, data = "message", []
            elif name == "id":
                ident = value
            elif name == "event":
                kind = value
            elif name == "data":
                data.append(value)
