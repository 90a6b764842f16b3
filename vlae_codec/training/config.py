"""Settings of a training run: frozen, saved in every checkpoint. Imports nothing of the networks."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Objective:
    """What is minimised, per crop: (rate of ŷ + weight of z * KL + λ·D) / sqrt(λ).

    tune: what the distortion D is, a name in `distortion.DISTORTIONS`.
    searched: latents are moved as effort 3 moves them before they are rounded.
    The three remedies against posterior collapse act on z alone:
        kl_annealing: steps over which the weight of the KL rises linearly from 0 to `beta`; 0 is off.
        free_bits: bits per channel of z and picture position of z (64x64 pixels) below which its KL costs nothing more.
        beta: final weight of the KL; 1 is the ELBO.
    """

    beta: float = 1.0
    kl_annealing: int = 0
    free_bits: float = 0.0
    tune: str = "psnr"
    searched: bool = False

    def kl_weight(self, step: int) -> float:
        """Weight of the KL at a step."""
        return self.beta * min(1.0, step / self.kl_annealing if self.kl_annealing else 1.0)


@dataclass(frozen=True)
class TrainConfig:
    """One run: the learning rate warms up, stays, then falls as a cosine over the last `decay_steps`."""

    steps: int = 200_000
    batch: int = 8  # crops per process and step
    crop: int = 192  # pixels, a multiple of 64
    learning_rate: float = 2e-3
    final_rate: float = 0.02  # of the learning rate, at the end of the decay
    warmup_steps: int = 500
    decay_steps: int = 0
    gradient_norm: float = 1.0
    ema: float = 0.999
    seed: int = 0
    log_steps: int = 100
    checkpoint_seconds: float = 240.0
    compile: bool = False  # let torch.compile fuse what lies between convolutions
    half_chroma: float = 0.0  # share of crops whose chroma is halved, as JPEG does
    only: str = ""  # names of parameters that are trained begin so; the others stay at their average
    objective: Objective = Objective()

    def rate_at(self, step: int) -> float:
        """Learning rate of a step."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        left = self.steps - step
        if left >= self.decay_steps:
            return self.learning_rate * warm
        fall = 0.5 * (1 + math.cos(math.pi * (1 - max(left, 0) / self.decay_steps)))
        return self.learning_rate * warm * (self.final_rate + (1 - self.final_rate) * fall)
