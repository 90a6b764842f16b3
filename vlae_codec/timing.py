"""Where the time goes: seconds by the name of a stage."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vlae_codec.entropy import Distributions, Ints
from vlae_codec.models.exact import SegmentModel

Stages = dict[str, float]


class Stopwatch:
    """Adds up seconds by the name of a stage, without those of stages inside it; seconds of all threads add up."""

    def __init__(self, stages: Stages | None):
        self.stages: Stages = stages if stages is not None else {}
        self.thread, self.lock = threading.local(), threading.Lock()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time what happens inside."""
        outer, self.thread.inside = getattr(self.thread, "inside", 0.0), 0.0
        began = time.perf_counter()
        yield
        passed = time.perf_counter() - began
        with self.lock:
            self.stages[stage] = self.stages.get(stage, 0.0) + passed - self.thread.inside
        self.thread.inside = outer + passed


class TimedModel:
    """A `bitsback.LatentModel` whose time counts as "prior"."""

    def __init__(self, model: SegmentModel, watch: Stopwatch):
        self.model, self.watch = model, watch

    def prior(self, stride: int) -> Distributions:
        """p(z)."""
        with self.watch("prior"):
            return self.model.prior(stride)

    def posterior(self, first: Ints) -> Distributions:
        """q(z | ŷ0)."""
        with self.watch("prior"):
            return self.model.posterior(first)

    def first_likelihood(self, z: Ints) -> Distributions:
        """p(ŷ0 | z)."""
        with self.watch("prior"):
            return self.model.first_likelihood(z)

    def predictor(self) -> Callable[[Ints], Distributions]:
        """p(ŷ_t | ŷ_<t) for t = 1 to 6, one after the other."""
        predict = self.model.predictor()

        def timed(group: Ints) -> Distributions:
            with self.watch("prior"):
                return predict(group)

        return timed
