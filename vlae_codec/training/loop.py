"""The training loop: crops in, checkpoints and TensorBoard scalars out.

One process, or several under torchrun (gloo on CPUs, nccl on GPUs; the same code): each draws its own crops,
gradients are averaged, every process then takes the same step. SIGINT and SIGTERM end the run after the
current step with a checkpoint; a killed run loses what came after the last one, `checkpoint_seconds` at most.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from vlae_codec.errors import UsageError
from vlae_codec.metrics import MS_SSIM_SIDE
from vlae_codec.models.blocks import fast_bfloat16
from vlae_codec.models.vlae import STRIDE, VLAE
from vlae_codec.training import checkpoint as checkpoints
from vlae_codec.training.checkpoint import Checkpoint
from vlae_codec.training.config import TrainConfig
from vlae_codec.training.data import Crops, Pixels
from vlae_codec.training.objective import Terms, evaluate
from vlae_codec.training.optimizer import MuonAdam, rank_and_world
from vlae_codec.training.starts import with_prefix


@contextmanager
def processes() -> Iterator[torch.device]:
    """Join the other processes that torchrun started, if it did; yields this process's device."""
    device = (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else torch.device("cpu")
    )
    if "RANK" not in os.environ:
        yield device
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
        dist.barrier()  # a process that leaves while another still saves can abort in gloo's threads
    finally:
        dist.destroy_process_group()


class Wishes(NamedTuple):
    """What one process wants all of them to do after a step."""

    stop: bool
    save: bool


class StopRequest:
    """Notes SIGINT and SIGTERM; a second one interrupts at once."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.note)

    def note(self, number: int, frame: Any) -> None:
        """The signal handler."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


class Trainer:
    """A model, its average, its optimizer and where they stand.

    Args:
        start: the checkpoint to go on from; its `random` is used only by as many processes as wrote it.
        config: settings from here on; may differ from the checkpoint's.
        device: where to compute.
    Raises:
        UsageError: a crop that the model cannot take; no C++ compiler where one is asked for; nothing to train.
    """

    def __init__(self, start: Checkpoint, config: TrainConfig, device: torch.device):
        if config.crop % STRIDE:
            raise UsageError(f"crop {config.crop} is not a multiple of {STRIDE} pixels")
        if config.objective.tune == "ssim" and config.crop < MS_SSIM_SIDE:
            raise UsageError(f"crop {config.crop}; MS-SSIM needs at least {MS_SSIM_SIDE} pixels")
        if config.compile and device.type == "cpu" and not shutil.which(os.environ.get("CXX", "g++")):
            raise UsageError("no C++ compiler; torch.compile needs one (g++, or what CXX names)")
        self.config, self.device = config, device
        self.step, self.pixels, self.seconds = start.step, start.pixels, start.seconds
        self.model = VLAE(start.model_config).to(device)
        self.model.load_state_dict(start.model)
        if config.compile:
            for part in (self.model.analysis_net, *self.model.contexts):  # layer norm is faster as it is
                part.compile()
        self.parameters = dict(self.model.named_parameters())
        self.ema = {name: start.ema[name].to(device, copy=True) for name in self.parameters}
        for name in self.parameters.keys() - with_prefix(config.only, self.parameters):
            self.parameters[name].requires_grad_(False).copy_(self.ema[name])
        self.optimizer = MuonAdam(self.parameters.items())
        if start.optimizer:
            self.optimizer.load_state_dict(start.optimizer)
        self.seed(start.random)

    def seed(self, states: list[Tensor]) -> None:
        """Go on with the random state of this process, or begin one."""
        rank, world = rank_and_world()
        torch.manual_seed(1000 * self.config.seed + 1 + rank)
        if len(states) == world:
            torch.set_rng_state(states[rank])

    def train_step(self, x: Tensor, wishes: Wishes) -> tuple[Terms, float, Wishes]:
        """One step on crops (B, 3, H, W): the terms, the norm of the gradient, and the wishes of all processes."""
        rate = rates(len(x), *rank_and_world()).to(self.device)
        self.model.zero_grad(set_to_none=True)
        with self.autocast():
            terms = evaluate(self.model, x, rate, self.config.objective, self.step)
        torch.autograd.backward(terms.loss)
        wishes = self.average_gradients(wishes)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config.gradient_norm)
        if torch.isfinite(norm):
            self.optimizer.step(self.config.rate_at(self.step))
        self.update_ema()
        self.step += 1
        self.pixels += rank_and_world()[1] * x.numel() // 3
        return terms, float(norm), wishes

    def autocast(self) -> AbstractContextManager[object]:
        """bfloat16 where it is fast."""
        if fast_bfloat16(self.device):
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def average_gradients(self, wishes: Wishes) -> Wishes:
        """Average over the processes; the wishes travel along, so that all save and stop after the same step."""
        _, world = rank_and_world()
        if world == 1:
            return wishes
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        flat = torch.cat([*(g.flatten() for g in gradients), gradients[0].new_tensor(wishes)])
        dist.all_reduce(flat)
        parts = torch.split(flat[:-2] / world, [g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return Wishes(*(bool(wish > 0) for wish in flat[-2:]))

    @torch.no_grad()
    def update_ema(self) -> None:
        """Move the average towards the weights; early on faster, so that the start is forgotten."""
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.ema.values()), list(self.parameters.values()), 1 - decay)

    def checkpoint(self) -> Checkpoint:
        """The state of the run, on every process."""
        _, world = rank_and_world()
        random: list[Any] = [torch.get_rng_state()]
        if world > 1:
            random = [None] * world
            dist.all_gather_object(random, torch.get_rng_state())
        return Checkpoint(
            self.model.config, self.config, self.model.state_dict(), self.ema, self.step, self.pixels, self.seconds,
            self.optimizer.state_dict(), random,
        )  # fmt: skip


def rates(count: int, rank: int, world: int) -> Tensor:
    """(count,) rate indices of one process's crops: of all crops of a step one from each of equal parts of 0 to 1.

    Drawn one by one they would make gradients noisier: those of high and of low rates have little in common.
    """
    parts = count * world
    return (torch.arange(rank, parts, world) + torch.rand(count)) / parts


@dataclass
class Journal:
    """Progress of a run as lines on stderr and scalars for TensorBoard; only the first process writes."""

    folder: Path
    config: TrainConfig

    def __post_init__(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(self.folder))
        self.since, self.values = time.monotonic(), list[dict[str, float]]()

    def log(self, step: int, terms: Terms, norm: float) -> None:
        """Called after every step; writes the means every `log_steps`."""
        means = {"bits per pixel": terms.bpp, "KL of z per pixel": terms.kl_bpp, "distortion": terms.distortion}
        values = {name: float(value.mean()) for name, value in means.items()}
        self.values.append({"loss": float(terms.loss.detach()), "gradient norm": norm, **values})
        if step % self.config.log_steps == 0:
            self.write(step)

    def write(self, step: int) -> None:
        """The means since the last line."""
        count, now = len(self.values), time.monotonic()
        means = {name: sum(v[name] for v in self.values) / count for name in self.values[0]}
        pace = (now - self.since) / count
        self.since, self.values = now, []
        scalars = means | {"learning rate": self.config.rate_at(step), "seconds per step": pace}
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, step)
        left = (self.config.steps - step) * pace
        print(
            f"{time.strftime('%F %T')}  step {step}/{self.config.steps}  loss {means['loss']:.4f}  "
            f"{means['bits per pixel']:.3f} bpp  distortion {means['distortion']:.1f}  "
            f"norm {means['gradient norm']:.2f}  {pace:.3f} s/step  "
            f"{int(left // 3600)} h {int(left // 60 % 60)} min left",
            file=sys.stderr, flush=True,
        )  # fmt: skip


def train(pictures: list[Pixels], folder: Path, start: Checkpoint, config: TrainConfig, device: torch.device) -> None:
    """Train until `config.steps` or a signal; `folder` receives the checkpoint and the TensorBoard file.

    Args:
        pictures: (H, W, 3) uint8 arrays.
        start: what `starts` makes, or the checkpoint of an earlier run.
    """
    stop = StopRequest()
    trainer, crops = Trainer(start, config, device), Crops(pictures, config.crop, config.half_chroma)
    journal = Journal(folder, config) if rank_and_world()[0] == 0 else None
    began, saved = time.monotonic() - trainer.seconds, time.monotonic()
    done = Wishes(stop=False, save=False)
    while trainer.step < config.steps and not done.stop:
        x = crops.draw(config.batch).to(device, memory_format=torch.channels_last)
        wishes = Wishes(stop.requested, time.monotonic() - saved > config.checkpoint_seconds)
        terms, norm, done = trainer.train_step(x, wishes)
        trainer.seconds = time.monotonic() - began
        if journal:
            journal.log(trainer.step, terms, norm)
        if done.save:
            save(trainer, folder)
            saved = time.monotonic()
    save(trainer, folder)


def save(trainer: Trainer, folder: Path) -> None:
    """Gather the state of all processes; the first one writes it."""
    state = trainer.checkpoint()
    if rank_and_world()[0] == 0:
        checkpoints.save(state, folder / checkpoints.NAME)
