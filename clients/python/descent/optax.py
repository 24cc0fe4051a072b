"""A Descent session as an Optax GradientTransformation."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import io_callback
from jax.flatten_util import ravel_pytree

from .client import Client
from .session import Session


class DescentState(NamedTuple):
    """A pytree of arrays, so it can be saved with the rest of a training state."""

    session: jax.Array  # uint8: the session's id
    step: jax.Array     # int32


def descent(optimizer: str = "adam", client: Optional[Client] = None, **settings: Any) -> optax.GradientTransformation:
    """Updates come from an optimizer that lives in a server; apply them with optax.apply_updates.

    Works inside jax.jit. `init` begins a session of its own. Calling `update` again with the same state and the same
    gradients gives the same updates; with an older state the server refuses (step_stale). settings as Client.session."""
    server = client or Client()
    known: Dict[bytes, Session] = {}

    def init(params: Any) -> DescentState:
        flat, _ = ravel_pytree(params)
        session = server.session(optimizer, coordinates=flat.size, **settings)
        known[session.id.encode()] = session
        return DescentState(jnp.asarray(np.frombuffer(session.id.encode(), np.uint8)), jnp.zeros((), jnp.int32))

    def ask(ident: Any, step: Any, gradient: Any) -> np.ndarray:
        name = np.asarray(ident).tobytes()
        if name not in known:
            known[name] = server.resume(name.decode())
        known[name].step = int(step)
        return known[name].update(np.asarray(gradient))

    def update(updates: Any, state: DescentState, params: Any = None) -> Any:
        del params
        flat, unravel = ravel_pytree(updates)
        shape = jax.ShapeDtypeStruct(flat.shape, jnp.float32)
        new = io_callback(ask, shape, state.session, state.step, flat.astype(jnp.float32), ordered=True)
        return unravel(new.astype(flat.dtype)), DescentState(state.session, state.step + 1)

    return optax.GradientTransformation(init, update)
