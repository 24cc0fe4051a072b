"""A Descent session as a torch.optim.Optimizer."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, Optional

import numpy as np
import torch

from .client import Client
from .session import Session


class DescentOptimizer(torch.optim.Optimizer):
    """Steps the parameters with an optimizer that lives in a server.

        optimizer = DescentOptimizer(model.parameters(), optimizer="lstm-mlp")

    A parameter group may name its own optimizer: [{"params": .., "optimizer": "adam:1"}, ..]. Parameters without a
    gradient count as having a gradient of zero. `state_dict` keeps the session's state under a checkpoint on the server
    and names it; `load_state_dict` begins a new session from there, so torch.save and torch.load resume exactly, and
    more than once."""

    def __init__(self, params: Iterable[Any], optimizer: str = "adam", client: Optional[Client] = None,
                 durability: str = "strict", **settings: Any):
        super().__init__(params, {"optimizer": optimizer})
        self._client = client or Client()
        self.session: Session = self._client.session(optimizer, layout=self._layout(), durability=durability,
                                                     **settings)

    def _layout(self) -> List[Dict[str, Any]]:
        return [{"name": f"g{g}.p{p}", "shape": list(tensor.shape) or [1], "optimizer": group["optimizer"]}
                for g, group in enumerate(self.param_groups) for p, tensor in enumerate(group["params"])]

    def _parameters(self) -> List[torch.Tensor]:
        return [tensor for group in self.param_groups for tensor in group["params"]]

    def add_param_group(self, param_group: Dict[str, Any]) -> None:
        if getattr(self, "session", None) is not None:
            raise ValueError("a session's layout is fixed: make a new optimizer for more parameters")
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Optional[Callable[[], Any]] = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        tensors = self._parameters()
        gradient = torch.cat([_flat_gradient(tensor) for tensor in tensors]).numpy()
        update = torch.from_numpy(self.session.update(gradient, loss=None if loss is None else float(loss)))
        for tensor, piece in zip(tensors, update.split([tensor.numel() for tensor in tensors])):
            tensor.add_(piece.view_as(tensor).to(tensor.device, tensor.dtype))
        return loss

    def state_dict(self) -> Dict[str, Any]:
        name = f"step-{self.session.step}"
        self.session.checkpoint(name)
        return {"session": self.session.id, "checkpoint": name, "step": self.session.step,
                "param_groups": [{k: v for k, v in group.items() if k != "params"} for group in self.param_groups]}

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        origin = self._client.resume(state_dict["session"])
        if origin.coordinates != self.session.coordinates:
            raise ValueError(f"the state is of {origin.coordinates} coordinates, not {self.session.coordinates}")
        unused, self.session = self.session, origin.fork(state_dict["checkpoint"])
        unused.delete()


def _flat_gradient(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.grad is None:
        return torch.zeros(tensor.numel(), dtype=torch.float32)
    return tensor.grad.detach().to("cpu", torch.float32).reshape(-1)
