"""SciPy's way to ask for a minimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Optional, Tuple, Union

import numpy as np

from .client import Client


@dataclass
class Result:
    """The members of scipy.optimize.OptimizeResult that make sense here."""

    x: np.ndarray
    fun: float
    jac: np.ndarray
    nit: int
    nfev: int
    success: bool
    message: str


def minimize(fun: Callable[..., Any], x0: Any, args: Tuple = (), jac: Union[bool, Callable[..., Any]] = True,
             optimizer: str = "adam", steps: int = 100, gtol: float = 0.0,
             callback: Optional[Callable[[np.ndarray], Any]] = None, client: Optional[Client] = None) -> Result:
    """Take up to `steps` steps from x0 and return the best point seen.

    fun(x, *args) returns the value, or (value, gradient) when `jac` is True; else `jac` is the gradient's function.
    Ends early when max|gradient| <= gtol, or when callback(x) is true. A value or gradient that is not finite ends it
    without success."""
    x = np.array(x0, dtype=np.float64)
    best: Optional[Tuple[float, np.ndarray, np.ndarray]] = None
    message, success, nit, nfev = f"{steps} steps taken", True, 0, 0
    with (client or Client()).session(optimizer, coordinates=x.size, durability="memory") as session:
        while True:
            value, gradient = fun(x, *args) if jac is True else (fun(x, *args), jac(x, *args))  # type: ignore[operator]
            value, gradient, nfev = float(value), np.asarray(gradient, dtype=np.float64), nfev + 1
            if not np.isfinite(value) or not np.all(np.isfinite(gradient)):
                message, success = f"not finite after {nit} steps", False
                break
            if best is None or value < best[0]:
                best = (value, x.copy(), gradient.copy())
            if np.max(np.abs(gradient), initial=0.0) <= gtol:
                message = f"max|gradient| <= {gtol:g}"
                break
            if nit == steps:
                break
            x = x + session.update(gradient.reshape(x.shape), loss=value)
            nit += 1
            if callback is not None and callback(x):
                message = "ended by the callback"
                break
    if best is None:
        best = (value, x, gradient)
    return Result(best[1], best[0], best[2], nit, nfev, success, message)
