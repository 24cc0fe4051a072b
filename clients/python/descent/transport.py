"""One HTTP request, tried again where that is safe.

Every request that this module sends may be sent twice: an update carries its step number, a POST that creates carries
an Idempotency-Key, the rest changes nothing more the second time. So a lost connection, an answer that does not come
in time and a 429 or 503 lead to another try, after a pause that doubles and is never the same for two clients.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
import time
import urllib.parse
from typing import Any, Dict, List, Mapping, Optional, Union

from .errors import ApiError, ConnectionFailed

Body = Union[bytes, memoryview, None]

_LOST = (ConnectionError, socket.timeout, http.client.HTTPException, OSError)


class Reply:
    """A whole answer. `body` is bytes, or the buffer that was handed in when it filled that."""

    __slots__ = ("status", "headers", "body")

    def __init__(self, status: int, headers: http.client.HTTPMessage, body: Any):
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> Any:
        return json.loads(bytes(self.body)) if len(self.body) else None


class Transport:
    """Connections that are kept open between requests; threads may share it, each request takes one for itself."""

    def __init__(self, url: str, key: Optional[str], timeout: float, attempts: int):
        parts = urllib.parse.urlsplit(url if "//" in url else "http://" + url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no http or https address")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._base = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout, self._attempts = timeout, max(1, attempts)
        self._lock = threading.Lock()
        self._idle: List[http.client.HTTPConnection] = []

    def request(self, method: str, path: str, body: Body = None, headers: Optional[Mapping[str, str]] = None,
                into: Optional[memoryview] = None) -> Reply:
        """Send until there is an answer. A failure of the server's raises ApiError.

        `into` is a buffer that takes the body of a 200 of exactly its size, so that nothing is copied."""
        for attempt in range(1, self._attempts + 1):
            try:
                reply = self._once(method, path, body, headers, into)
            except _LOST as reason:
                if attempt == self._attempts:
                    raise ConnectionFailed(f"no answer to {method} {path} in {attempt} tries: {reason}") from reason
                time.sleep(_pause(attempt))
                continue
            if reply.status < 400:
                return reply
            failure = _failure(reply)
            if method == "DELETE" and reply.status == 404 and attempt > 1:
                return reply  # an earlier try has deleted it, and its answer was lost
            if reply.status not in (429, 503) or attempt == self._attempts:
                raise failure
            time.sleep(max(_pause(attempt), failure.retry_after or 0.0))
        raise AssertionError("unreachable")

    def stream(self, path: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Begin a GET whose body the caller reads line by line, on a connection of its own."""
        connection = self._connect()
        connection.request("GET", self._base + path, headers={**self._headers, **headers})
        response = connection.getresponse()
        if response.status >= 400:
            raise _failure(Reply(response.status, response.headers, response.read()))
        return response

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=self._timeout)

    def _take(self) -> http.client.HTTPConnection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        connection = self._connect()
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _once(self, method: str, path: str, body: Body, headers: Optional[Mapping[str, str]],
              into: Optional[memoryview]) -> Reply:
        connection = self._take()
        sent: Dict[str, str] = {**self._headers, **(headers or {})}
        if body is not None:
            sent["Content-Length"] = str(body.nbytes if isinstance(body, memoryview) else len(body))
        try:
            connection.request(method, self._base + path, body=body, headers=sent)
            response = connection.getresponse()
            reply = Reply(response.status, response.headers, _read(response, into))
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        return reply


def _read(response: http.client.HTTPResponse, into: Optional[memoryview]) -> Any:
    if into is None or response.status != 200 or response.length != into.nbytes:
        return response.read()
    done = 0
    while done < into.nbytes:
        count = response.readinto(into[done:])
        if not count:
            raise http.client.IncompleteRead(b"", into.nbytes - done)
        done += count
    response.read()  # the end of the message, so that the connection serves again
    return into


def _failure(reply: Reply) -> ApiError:
    try:
        problem = reply.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"detail": bytes(reply.body[:200]).decode("utf-8", "replace")}
    try:
        retry_after: Optional[float] = float(reply.headers.get("Retry-After", ""))
    except ValueError:
        retry_after = None
    return ApiError(reply.status, problem, retry_after)


def _pause(attempt: int) -> float:
    """Seconds before the next try: 0.1, 0.2, ... up to 5, half of it by chance."""
    return min(5.0, 0.05 * 2**attempt) * random.uniform(0.5, 1.0)
