"""Where a run starts, for `loop.train`: new weights, or those of another run, all of them or some."""

import dataclasses
from collections.abc import Iterable

import torch

from vlae_codec.errors import UsageError
from vlae_codec.models.config import Config
from vlae_codec.models.vlae import VLAE
from vlae_codec.training.checkpoint import Checkpoint
from vlae_codec.training.config import TrainConfig


def beginning(model_config: Config, config: TrainConfig) -> Checkpoint:
    """A run that has not begun: weights from the seed, the same on every process."""
    torch.manual_seed(config.seed)
    weights = VLAE(model_config).state_dict()
    return Checkpoint(model_config, config, weights, {name: w.clone() for name, w in weights.items()})


def with_prefix(prefix: str, names: Iterable[str]) -> set[str]:
    """Those of the names of parameters that begin so; a UsageError if there are none."""
    found = {name for name in names if name.startswith(prefix)}
    if not found:
        raise UsageError(f"no parameter's name begins with {prefix!r}")
    return found


def branch(parent: Checkpoint) -> Checkpoint:
    """A copy of a run whose steps count from zero: for a decay of its own, or other settings."""
    return dataclasses.replace(parent, step=0, random=[])


def grown(parent: Checkpoint, config: Config) -> Checkpoint:
    """A branch with more blocks than its parent. They start as the identity: the model computes the same at first.

    Raises:
        UsageError: the sizes differ in something else than numbers of blocks, or there are fewer.
    """
    child = beginning(config, parent.train_config)
    for part in ("model", "ema"):
        new, old = getattr(child, part), getattr(parent, part)
        strange = [name for name in old if name not in new or new[name].shape != old[name].shape]
        if strange:
            raise UsageError(f"a model can only grow in numbers of blocks; {strange[0]} does not fit")
        for name in new.keys() - old.keys():
            if ".expand." in name:
                new[name].zero_()
        new.update(old)
    return dataclasses.replace(child, pixels=parent.pixels, seconds=parent.seconds)


def renewed(parent: Checkpoint, config: Config, train_config: TrainConfig, prefix: str) -> Checkpoint:
    """A branch where parameters whose names begin with `prefix` start anew, of whatever shape.

    The others are the parent's averaged weights; no momentum is kept.

    Raises:
        UsageError: there are none; another parameter does not fit the configuration.
    """
    child = beginning(config, train_config)
    kept = child.model.keys() - with_prefix(prefix, child.model)
    for name in sorted(kept):
        weight = parent.ema.get(name)
        if weight is None or weight.shape != child.model[name].shape:
            raise UsageError(f"{name} does not fit the configuration, and --anew does not name it")
        child.model[name], child.ema[name] = weight.clone(), weight.clone()
    return dataclasses.replace(child, pixels=parent.pixels, seconds=parent.seconds)
