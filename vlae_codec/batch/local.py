"""A batch in processes of this machine, each with one torch thread and the model loaded once.

Spawned, not forked: torch's threads do not survive a fork, and Windows has none. A process has one file at a time, and
takes the next one when it has answered; if it dies, only that file fails, and another process takes its place.
"""

import os
import signal
import sys
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait

from vlae_codec.batch.order import Order, Outcome, failure, one_thread, perform_elsewhere
from vlae_codec.errors import CodecError
from vlae_codec.files import Job, shown

GRACE = 10  # seconds to end what cannot be interrupted, a convolution for instance, and to remove temporary files


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def outcomes(order: Order, jobs: Sequence[Job], processes: int) -> Generator[Outcome, None, None]:
    """What becomes of each job, as soon as it is known; at the end, however it comes, no process is left."""
    waiting = deque(jobs)
    workers: list[_Worker] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < processes:
                workers.append(_Worker(order, waiting.popleft()))
            ready = wait([worker.connection for worker in workers])
            for worker in [worker for worker in workers if worker.connection in ready]:
                outcome = worker.outcome()
                if worker.lost or not waiting:
                    workers.remove(worker)
                    worker.end()
                else:
                    worker.give(waiting.popleft())
                yield outcome
    finally:
        for worker in workers:
            worker.interrupt()
        for worker in workers:
            worker.end()


class _Worker:
    """A process, seen from here; busy from its start on."""

    def __init__(self, order: Order, job: Job):
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, order), daemon=True)
        with _sigint_blocked():
            self.process.start()
        theirs.close()
        self.lost = False
        self.give(job)

    def give(self, job: Job) -> None:
        """The next file."""
        self.job = job
        with suppress(OSError):  # it has died; `outcome` finds out
            self.connection.send(job)

    def outcome(self) -> Outcome:
        """What it has answered, or that it never will."""
        try:
            outcome: Outcome = self.connection.recv()
            return outcome
        except (EOFError, OSError):
            self.lost = True
            self.process.join()
            message = f"{shown(self.job.source)}: the process that worked on it died ({_cause(self.process.exitcode)})"
            return failure(self.job, message, CodecError.exit_code)

    def interrupt(self) -> None:
        """Stop as soon as possible, and leave no temporary file."""
        if sys.platform != "win32":  # which would kill it; Ctrl-C has reached it there
            self.process.terminate()

    def end(self) -> None:
        """Wait for its end."""
        self.connection.close()  # what it waits for when it has nothing to do
        self.process.join(GRACE)
        self.process.kill()
        self.process.join()


def _cause(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"exit code {exit_code}"
    memory = ", perhaps for want of memory" if exit_code == -9 else ""
    return f"signal {-exit_code}{memory}"


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Ctrl-C reaches all processes of a terminal; those started here leave it to this one, which then ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start, otherwise part of a process's, would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: "Connection[Outcome, Job]", order: Order) -> None:
    """What the process does: answer until nobody asks any more."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    one_thread()
    with suppress(EOFError, OSError, KeyboardInterrupt):  # the other end is gone, also when it was killed
        while True:
            connection.send(perform_elsewhere(order, connection.recv()))
