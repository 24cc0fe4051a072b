"""One optimization in progress."""

from __future__ import annotations

import uuid
from types import TracebackType
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Type
from urllib.parse import quote

import numpy as np

if TYPE_CHECKING:
    from .client import Client


class Session:
    """The server's state of one optimization; made by Client.session and Client.resume.

    Not for several threads at once: a step follows on the one before. As a context manager it deletes the session when
    the block ends, and keeps it when the block is left by an exception, so that `resume` can go on with it."""

    def __init__(self, client: "Client", info: Mapping[str, Any]):
        self._client = client
        self.id: str = info["id"]
        self.optimizer: Any = info.get("optimizer")
        self.coordinates: int = info["coordinates"]
        self.step: int = info["step"]
        self.replayed = False
        self._path = "/v1/sessions/" + quote(self.id, safe="")

    def update(self, gradient: Any, loss: Optional[float] = None, out: Optional[np.ndarray] = None) -> np.ndarray:
        """Send the gradient where the parameters stand; returns the update, which is to be ADDED to them.

        gradient: `coordinates` numbers of any shape and dtype (float32 in C order goes out without a copy).
        loss: the objective there, for the session's history.
        out: a float32 C-contiguous array that takes the update and is returned.
        The update has the gradient's shape. When no answer arrives the same step is sent again, which is safe;
        after ConnectionFailed it may be called again with the same gradient. `replayed` then says whether the server
        had taken the step before."""
        grad = np.ascontiguousarray(gradient, dtype="<f4")
        if grad.size != self.coordinates:
            raise ValueError(f"the gradient has {grad.size} numbers, the session {self.coordinates} coordinates")
        if out is None:
            out = np.empty(np.shape(gradient), dtype="<f4")
        elif out.dtype != np.dtype("<f4") or out.size != grad.size or not out.flags.c_contiguous:
            raise ValueError(f"out must be {grad.size} float32 in C order")
        headers = {"Content-Type": "application/octet-stream", "Descent-Step": str(self.step)}
        if loss is not None:
            headers["Descent-Loss"] = repr(float(loss))
        reply = self._client.transport.request("POST", self._path + "/update", _bytes(grad), headers, _bytes(out))
        self.step = int(reply.headers["Descent-Step"])
        self.replayed = reply.headers.get("Descent-Replayed") == "true"
        return out

    def info(self) -> Dict[str, Any]:
        """What the server says of the session."""
        return self._client.call("GET", self._path)

    def reset(self) -> None:
        """The family's initial state, step 0."""
        self._take(self._client.call("POST", self._path + "/reset"))

    def checkpoint(self, name: str) -> Dict[str, Any]:
        """Keep the state under a name, for `restore` and `fork`."""
        return self._client.call("POST", self._path + "/checkpoints", {"name": name}, create=True)

    def checkpoints(self) -> list:
        return list(self._client.pages(self._path + "/checkpoints"))

    def delete_checkpoint(self, name: str) -> None:
        self._client.call("DELETE", f"{self._path}/checkpoints/{quote(name, safe='')}")

    def restore(self, checkpoint: str) -> None:
        """Go back to a checkpoint; `step` is that of the checkpoint afterwards."""
        self._take(self._client.call("POST", self._path + "/restore", {"checkpoint": checkpoint}))

    def fork(self, checkpoint: Optional[str] = None) -> "Session":
        """A new session with the same state, or that of a checkpoint."""
        body = {} if checkpoint is None else {"checkpoint": checkpoint}
        return Session(self._client, self._client.call("POST", self._path + "/fork", body, create=True))

    def state(self) -> bytes:
        """The whole state as a safetensors file."""
        return bytes(self._client.transport.request("GET", self._path + "/state").body)

    def load_state(self, state: bytes) -> None:
        """Take over a state that `state` gave, of a session of the same optimizer version and size."""
        self._client.transport.request("PUT", self._path + "/state", state,
                                       {"Content-Type": "application/x-safetensors"})
        self._take(self.info())

    def history(self, max_points: int = 500) -> Dict[str, Any]:
        """Step, loss, gradient norm and update norm over time."""
        return self._client.call("GET", f"{self._path}/history?max_points={int(max_points)}")

    def delete(self) -> None:
        self._client.call("DELETE", self._path)

    def _take(self, info: Mapping[str, Any]) -> None:
        self.step = info["step"]
        self.replayed = False

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if kind is None:
            self.delete()

    def __repr__(self) -> str:
        return f"<descent.Session {self.id} step={self.step} coordinates={self.coordinates}>"


def _bytes(array: np.ndarray) -> memoryview:
    return memoryview(array.reshape(-1).view(np.uint8).data) if array.size else memoryview(b"")


def fresh_key() -> str:
    """An Idempotency-Key for one creation."""
    return uuid.uuid4().hex
