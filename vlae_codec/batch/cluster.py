"""A batch on a Ray cluster [1]: an actor per core, each with one torch thread and the model loaded once.

The only importer of ray. Files are read and written by the actors: names are URLs, or paths that every node has. An
actor has one file at a time, so that the cluster holds no queue; when it is lost, with its node for instance, its file
goes to another. This version of vlae-codec must be installed on every node. Nothing is reported to Ray's makers.

[1] P. Moritz et al., 2018, https://arxiv.org/abs/1712.05889
"""

import logging
import os
import re
import socket
import sys
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any, NamedTuple

import vlae_codec
from vlae_codec.batch.order import Existing, Order, Outcome, failure, one_thread, perform_elsewhere
from vlae_codec.errors import CodecError, UsageError
from vlae_codec.files import Job, shown

RETRIES = 3  # of a file whose actor was lost
STARTS = 3  # actors that may be lost before they are ready, for each that is wanted
START_SECONDS = 600  # for the first actor; where nodes are made on demand that takes minutes
CONNECT_SECONDS = 10
GRACE = 10  # seconds for actors to finish the files in hand when the batch is interrupted


class Attempt(NamedTuple):
    """A file and how often its actor was lost."""

    job: Job
    losses: int = 0


class Worker:
    """The actor."""

    def version(self) -> str:
        """What its node has installed; asked first, and before torch is imported."""
        one_thread()
        return vlae_codec.__version__

    def perform(self, order: Order, job: Job) -> Outcome:
        """Do it; what goes wrong is in the outcome."""
        return perform_elsewhere(order, job)


def outcomes(order: Order, jobs: Sequence[Job], address: str, most: int | None) -> Generator[Outcome, None, None]:
    """What becomes of each job, as soon as it is known.

    Args:
        address: of a running cluster, "auto" for the one that this machine belongs to.
        most: actors; None for one per core of the cluster.
    Raises:
        UsageError: ray is not installed, there is no cluster at the address.
        CodecError: no actor can be started.
    """
    with redirect_stdout(sys.stderr):
        ray = _connected(address)
    crew = _Crew(ray, order, most)
    try:
        yield from crew.outcomes(deque(Attempt(job) for job in jobs))
    finally:
        crew.finish()
        ray.shutdown()


def _connected(address: str) -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    _check_listening(address)
    try:
        import ray
    except ImportError as error:
        raise UsageError("--ray needs the package ray: pip install 'vlae-codec[ray]'") from error
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(f"no Ray cluster at {address} (ray start --head makes one): {error}") from error
    return ray


def _check_listening(address: str) -> None:
    """Ray itself would try for ten minutes."""
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None:
        return
    try:
        socket.create_connection((match["host"].strip("[]"), int(match["port"])), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"no Ray cluster at {address} (ray start --head makes one): {error}") from error


_HOST_AND_PORT = re.compile(r"(ray://)?(?P<host>.+):(?P<port>\d+)")


class _Crew:
    """The actors, seen from here: each is starting, idle or busy. A lost one is replaced while there is work."""

    def __init__(self, ray: Any, order: Order, most: int | None):
        self.ray, self.order, self.most = ray, order, most
        self.actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(Worker)
        self.starting: dict[Any, Any] = {}  # by what they will answer
        self.busy: dict[Any, tuple[Any, Attempt]] = {}  # the same
        self.idle: list[Any] = []
        self.lost_starting = 0  # since one was ready

    def outcomes(self, waiting: "deque[Attempt]") -> Iterator[Outcome]:
        """All of the files, those of lost actors again."""
        while waiting or self.busy:
            wanted = self._wanted(len(waiting))
            while self._size() < wanted:
                actor = self.actor.remote()
                self.starting[actor.version.remote()] = actor
            while self.idle and waiting:
                self._give(self.idle.pop(), waiting.popleft())
            for reference in self._ready(wanted):
                if reference in self.starting:
                    self._welcome(reference, wanted)
                elif outcome := self._outcome(reference, waiting):
                    yield outcome

    def finish(self) -> None:
        """Let the files in hand be written, but not wait for them for ever."""
        if self.busy:
            self.ray.wait(list(self.busy), num_returns=len(self.busy), timeout=GRACE)

    def _wanted(self, waiting: int) -> int:
        """How many actors there should be: no more than cores, nor than files."""
        cores = max(1, int(self.ray.cluster_resources().get("CPU", 0)))
        return min(self.most or cores, cores, waiting + len(self.busy))

    def _size(self) -> int:
        return len(self.starting) + len(self.idle) + len(self.busy)

    def _give(self, actor: Any, attempt: Attempt) -> None:
        order = self.order
        if attempt.losses and order.existing is Existing.REFUSE:
            order = replace(order, existing=Existing.SKIP)  # the lost actor may have written it before its end
        self.busy[actor.perform.remote(order, attempt.job)] = (actor, attempt)

    def _ready(self, wanted: int) -> list[Any]:
        """At least one answer."""
        with redirect_stdout(sys.stderr):  # Ray prints news of its nodes, among our JSON lines
            ready, _ = self.ray.wait([*self.busy, *self.starting], timeout=None if self.busy else START_SECONDS)
        if not ready:
            raise CodecError(f"none of {wanted} Ray actors was ready after {START_SECONDS} s; a free core wanted")
        return list(ready)

    def _welcome(self, reference: Any, wanted: int) -> None:
        actor = self.starting.pop(reference)
        try:
            found = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            self.lost_starting += 1
            if self.lost_starting >= STARTS * wanted:
                raise CodecError(
                    f"{self.lost_starting} Ray actors were lost before they were ready: {error}"
                ) from error
            return
        if found != vlae_codec.__version__:
            raise UsageError(f"a node of the cluster has vlae-codec {found}; {vlae_codec.__version__} wanted, as here")
        self.lost_starting = 0
        self.idle.append(actor)

    def _outcome(self, reference: Any, waiting: "deque[Attempt]") -> Outcome | None:
        """None if the actor was lost and the file waits again."""
        actor, attempt = self.busy.pop(reference)
        try:
            outcome: Outcome = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            if attempt.losses == RETRIES:
                text = f"{shown(attempt.job.source)}: {RETRIES + 1} Ray actors were lost with it: {error}"
                return failure(attempt.job, " ".join(text.split()), CodecError.exit_code)
            waiting.appendleft(Attempt(attempt.job, attempt.losses + 1))
            self.ray.kill(actor)
            return None
        self.idle.append(actor)
        return outcome
