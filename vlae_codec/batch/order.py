"""What is done with each file of a batch, and what became of it: both go to and come from other processes.

Whatever a file raises becomes its outcome, so that the others go on; only an interruption ends a batch.
"""

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from vlae_codec import files, report
from vlae_codec.errors import CodecError
from vlae_codec.files import Job
from vlae_codec.program import explain

if TYPE_CHECKING:
    from vlae_codec.jobs import Progress, Record

Task = Callable[..., Any]
"""`jobs.encode` or `jobs.decode` with all but job, force and progress; gives (record, ledger or None)."""


class Existing(StrEnum):
    """What is done where the output exists already."""

    REFUSE = "refuse"
    SKIP = "skip"
    OVERWRITE = "overwrite"


@dataclass(frozen=True)
class Order:
    """What is done with every file. bits: whether the ledger is wanted as a table."""

    task: Task
    existing: Existing = Existing.REFUSE
    bits: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    record: what --json prints; text: the same in words. exit_code: 0, or that of the error whose message is the text.
    trace: of an error, for VLAE_DEBUG=1.
    """

    job: Job
    record: "Record"
    text: str
    exit_code: int = 0
    skipped: bool = False
    trace: str = ""
    warnings: tuple[str, ...] = field(default=())


def _no_progress(_done: float) -> None:
    pass


def done(order: Order, job: Job, progress: "Progress" = _no_progress) -> Outcome:
    """Do it, and raise what goes wrong."""
    force = order.existing is Existing.OVERWRITE
    if order.existing is Existing.SKIP:
        if files.is_complete(job.target):
            return _skipped(job)
        force = files.exists(job.target)  # and is empty: a name that a killed run had claimed
    record, ledger = order.task(job, force=force, progress=progress)
    return Outcome(job, record, report.text(record, ledger if order.bits else None))


def perform(order: Order, job: Job) -> Outcome:
    """Do it; what goes wrong is in the outcome."""
    try:
        return done(order, job)
    except (KeyboardInterrupt, SystemExit, BrokenPipeError):
        raise
    except BaseException as error:  # a panic of constriction is no Exception
        if order.existing is Existing.SKIP and files.is_complete(job.target):
            return _skipped(job)  # another run was faster
        return failure(job, *explain(error, job.source), trace="".join(traceback.format_exception(error)))


def foresee(order: Order, job: Job) -> Outcome:
    """What would become of it, as far as names tell."""
    if order.existing is Existing.SKIP and files.is_complete(job.target):
        return _skipped(job)
    try:
        if job.target != files.STREAM:
            files.check_free(job.target, force=order.existing is not Existing.REFUSE)
    except CodecError as error:
        return failure(job, *explain(error))
    record = {"input": job.source, "output": job.target, "dry_run": True}
    return Outcome(job, record, f"{_names(job)}: would be written")


def perform_elsewhere(order: Order, job: Job) -> Outcome:
    """The same in a process that has no terminal of its own: warnings are in the outcome, too."""
    with warnings.catch_warnings(record=True) as caught:
        outcome = perform(order, job)
    return replace(outcome, warnings=tuple(str(warning.message) for warning in caught))


def failure(job: Job, message: str, exit_code: int, trace: str = "") -> Outcome:
    """The outcome of what went wrong."""
    record = {"input": job.source, "error": message, "exit_code": exit_code}
    return Outcome(job, record, message, exit_code, trace=trace)


def one_thread() -> None:
    """For a process that shares the machine with others like it, whether it has imported torch already or not."""
    os.environ["OMP_NUM_THREADS"] = "1"
    if torch := sys.modules.get("torch"):  # a main module that a spawned process runs first may have done so
        torch.set_num_threads(1)


def _skipped(job: Job) -> Outcome:
    record = {"input": job.source, "output": job.target, "skipped": True}
    return Outcome(job, record, f"{_names(job)}: skipped, the output exists", skipped=True)


def _names(job: Job) -> str:
    return f"{files.shown(job.source)} -> {files.shown(job.target)}"
