"""Muon for convolution kernels seen as (out, in*k*k) matrices, Adam for everything else.

K. Jordan et al., 2024, "Muon: an optimizer for hidden layers in neural networks". The update is scaled by
0.2 * sqrt(longer side), so that Adam's learning rates fit (Liu et al., 2025, https://arxiv.org/abs/2502.16982).
Kernels of one shape are stacked, so that one batched product serves many layers; the stacks are split over the
processes, each of which keeps the momentum of its own and sends the others the new weights.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vlae_codec.models.blocks import fast_bfloat16

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, from the source above
MIN_SIDE = 16  # smaller matrices are left to Adam
WIDE = 4  # longer side over the shorter from which Newton-Schulz on the squares is faster in float32


def rank_and_world() -> tuple[int, int]:
    """This process's number and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def orthogonalise(x: Tensor, iterations: int = 5) -> Tensor:
    """(n, rows, columns) -> nearly the nearest semi-orthogonal matrices, by Newton-Schulz."""
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    squares = x.size(-1) >= WIDE * x.size(-2) and not fast_bfloat16(x.device)
    iterate = newton_schulz_of_squares if squares else newton_schulz
    x = iterate(x, iterations)
    return x.mT if tall else x


def newton_schulz(x: Tensor, iterations: int) -> Tensor:
    """X <- (a + b S + c S²) X with S = X X', in bfloat16 where that is fast."""
    x = (x.bfloat16() if fast_bfloat16(x.device) else x).contiguous()
    a, b, c = COEFFICIENTS
    for _ in range(iterations):
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    return x


def newton_schulz_of_squares(x: Tensor, iterations: int) -> Tensor:
    """The same with the factors multiplied up before they meet X: two products with X in place of two per iteration.

    S <- P S P with P = a + b S + c S², which all commute. In float32: in bfloat16 S loses the small singular values.
    """
    a, b, c = COEFFICIENTS
    square = x @ x.mT
    one = torch.eye(square.size(-1), device=x.device, dtype=x.dtype)
    product = one.expand_as(square)
    for _ in range(iterations):
        factor = a * one + b * square + c * (square @ square)
        product, square = factor @ product, factor @ square @ factor
    return product @ x


class MuonAdam:
    """Steps all parameters of a network whose gradients are already equal on every process.

    Args:
        named: the network's named parameters.
        momentum: of Muon (Nesterov).
        betas: of Adam.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, nn.Parameter]],
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.98),
    ):
        parameters = dict(named)
        self.matrices = {n: p for n, p in parameters.items() if p.dim() == 4 and min(len(p), p[0].numel()) >= MIN_SIDE}
        rest = [p for n, p in parameters.items() if n not in self.matrices]
        self.adam = torch.optim.Adam(rest, betas=betas)
        self.momentum = momentum
        self.buffers = {n: torch.zeros_like(p) for n, p in self.matrices.items()}
        self.stacks = self.stack_by_shape()

    def stack_by_shape(self) -> list[list[str]]:
        """Names of the matrices of each shape, the costliest stack first, so that dealing them out is fair."""
        shapes: dict[tuple[int, int], list[str]] = defaultdict(list)
        for name, p in self.matrices.items():
            shapes[len(p), p[0].numel()].append(name)
        costs = {shape: len(names) * shape[0] * shape[1] * min(shape) for shape, names in shapes.items()}
        return [shapes[shape] for shape in sorted(shapes, key=lambda shape: -costs[shape])]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update every parameter from its gradient."""
        for group in self.adam.param_groups:
            group["lr"] = learning_rate
        self.adam.step()
        rank, world = rank_and_world()
        for names in self.stacks[rank::world]:
            self.step_stack(names, learning_rate)
        for source in range(world if world > 1 else 0):
            self.share([n for names in self.stacks[source::world] for n in names], source)

    def step_stack(self, names: list[str], learning_rate: float) -> None:
        """Update kernels of one shape, as far as they are trained."""
        names = [name for name in names if self.matrices[name].requires_grad]
        if not names:
            return
        directions = []
        for name in names:
            gradient, buffer = self.matrices[name].grad, self.buffers[name]
            assert gradient is not None
            buffer.lerp_(gradient, 1 - self.momentum)
            directions.append(gradient.lerp(buffer, self.momentum).flatten(1))
        for name, update in zip(names, orthogonalise(torch.stack(directions)), strict=True):
            p = self.matrices[name]
            p.add_(update.reshape(p.shape).to(p.dtype), alpha=-0.2 * learning_rate * max(update.shape) ** 0.5)

    def share(self, names: list[str], source: int) -> None:
        """Send the weights of `names` from the process that stepped them to all others."""
        flat = torch.cat([self.matrices[n].flatten() for n in names])
        dist.broadcast(flat, source)
        parts = torch.split(flat, [self.matrices[n].numel() for n in names])
        for name, part in zip(names, parts, strict=True):
            self.matrices[name].copy_(part.view_as(self.matrices[name]))

    def state_dict(self) -> dict[str, Any]:
        """Complete on every process: the momentum of each stack is fetched from its owner."""
        _, world = rank_and_world()
        if world > 1:
            for number, names in enumerate(self.stacks):
                for name in names:
                    dist.broadcast(self.buffers[name], number % world)
        return {"adam": self.adam.state_dict(), "momentum": self.buffers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo `state_dict`, on any number of processes."""
        self.adam.load_state_dict(state["adam"])
        for name, buffer in self.buffers.items():
            buffer.copy_(state["momentum"][name])
