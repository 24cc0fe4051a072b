"""What can go wrong: the server refused (ApiError), or could not be reached (ConnectionFailed)."""

from __future__ import annotations

from typing import Any, Mapping, Optional


class Error(Exception):
    """Everything that this package raises, wrong arguments apart."""


class ConnectionFailed(Error):
    """No answer came, however often it was tried. `__cause__` is the last reason."""


class ApiError(Error):
    """The server's problem+json. Decide by `code`, a constant such as "step_gap"; the sentence is for people."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: Optional[float] = None):
        self.status = status
        self.code: str = problem.get("code", "")
        self.detail: str = problem.get("detail", "")
        self.request_id: str = problem.get("request_id", "")
        self.retryable: bool = bool(problem.get("retryable", False))
        self.errors: list = problem.get("errors", [])
        self.problem = dict(problem)
        self.retry_after = retry_after
        super().__init__(f"{self.code or status}: {self.detail or problem.get('title', '')}")
