"""A client for Descent, the server of learned optimizers.

    import descent

    with descent.Client().session("adam", coordinates=theta.size) as session:
        for _ in range(100):
            theta += session.update(gradient(theta))

PyTorch: descent.torch.DescentOptimizer. JAX: descent.optax.descent. SciPy's manner: descent.minimize."""

from .client import Client
from .errors import ApiError, ConnectionFailed, Error
from .job import Event, Job, JobFailed
from .minimize import Result, minimize
from .session import Session

__all__ = ["ApiError", "Client", "ConnectionFailed", "Error", "Event", "Job", "JobFailed", "Result", "Session",
           "minimize"]
__version__ = "0.1.0"
