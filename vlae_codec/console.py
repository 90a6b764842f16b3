"""How a command goes through its files: the options for many of them, bars, printed lines, and the summary.

Imports click, the standard library, errors and program, all else inside the functions: --help answers at once.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial, wraps
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from vlae_codec.errors import BatchError, UsageError
from vlae_codec.program import say

if TYPE_CHECKING:
    from vlae_codec.batch import Outcome
    from vlae_codec.jobs import Progress

PROGRESS_DELAY = 0.5  # seconds; a bar for less only flickers
Command = Callable[..., None]


class Many(NamedTuple):
    """The options for many files, as they were given."""

    recursive: bool
    jobs: int | None
    existing: str | None
    force: bool
    dry_run: bool
    ray: str | None


_OPTIONS = (
    click.option("-r", "--recursive", is_flag=True, help="Take the files in folders and their sub-folders."),
    click.option(
        "--jobs",
        metavar="N",
        type=click.IntRange(min=0),
        help="N processes of one thread each, for one file N threads; 0 for one per core. Without it one file after "
        "the other, on all cores.",
    ),
    click.option("--force", is_flag=True, help="Overwrite files that exist."),
    click.option(
        "--existing",
        type=click.Choice(["refuse", "skip", "overwrite"]),
        help="What to do where the output exists: refuse (the default), skip (to resume), or overwrite as --force.",
    ),
    click.option("--dry-run", is_flag=True, help="Only list what would be done."),
    click.option("--ray", metavar="ADDRESS", help="Work on a running Ray cluster; auto for the one of this machine."),
)


def many(command: Command) -> Command:
    """Add the options to a command; they arrive as one argument `many`."""

    @wraps(command)
    def gathered(*arguments: Any, **options: Any) -> None:
        command(*arguments, many=Many(**{name: options.pop(name) for name in Many._fields}), **options)

    for option in reversed(_OPTIONS):
        option(gathered)
    return gathered


def run(
    task: Callable[..., Any], many: Many, sources: Sequence[str], output: str | None, suffix: str, as_json: bool,
    bits: bool = False,
) -> None:  # fmt: skip
    """Do the task, `jobs.encode` or `jobs.decode` with its options, with all that the sources name.

    One file fails as it is; of several, failures are reported and the others go on.
    """
    from vlae_codec import batch, files

    order = batch.Order(task, batch.Existing(_existing(many)), bits)
    if many.ray is not None:
        sources, output = [files.absolute(source) for source in sources], output and files.absolute(output)
    plan = batch.plan(sources, output, suffix, many.recursive)
    if as_json and any(job.target == files.STREAM for job in plan.jobs):
        raise UsageError("stdout cannot take both the output and --json; -o with a file name wanted")
    if many.dry_run:
        _summarize(_shown(chain(plan.unreadable, (batch.foresee(order, job) for job in plan.jobs)), as_json))
    elif len(sources) == 1 and not plan.has_folders and many.ray is None:
        threads = batch.cores() if many.jobs == 0 else many.jobs or 1
        with _progress(plan.jobs[0].source) as progress:
            outcome = batch.done(replace(order, task=partial(task, jobs=threads)), plan.jobs[0], progress)
        _print(outcome, as_json)
    else:
        plan.make_folders()
        with closing(batch.outcomes(order, plan.jobs, many.jobs, many.ray)) as outcomes:
            _summarize(_shown(chain(plan.unreadable, _counted(outcomes, len(plan.jobs))), as_json))


def _existing(many: Many) -> str:
    if many.force and many.existing not in (None, "overwrite"):
        raise UsageError(f"--force and --existing {many.existing} given; one of them wanted")
    return "overwrite" if many.force else many.existing or "refuse"


def _shown(outcomes: "Iterable[Outcome]", as_json: bool) -> "Iterator[Outcome]":
    """Each outcome once it has been printed."""
    for outcome in outcomes:
        with _bars_away():
            _print(outcome, as_json)
        yield outcome


def _summarize(outcomes: "Iterable[Outcome]") -> None:
    """When all are done, how many failed and how many were left out."""
    total, failed, skipped = 0, 0, 0
    for outcome in outcomes:
        total, failed, skipped = total + 1, failed + (outcome.exit_code > 0), skipped + outcome.skipped
    rest = f", {skipped} skipped because their outputs exist" if skipped else ""
    if failed:
        raise BatchError(f"{failed} of {total} files failed{rest}")
    if skipped:
        say(f"{total} files{rest}")


def _print(outcome: "Outcome", as_json: bool) -> None:
    """To stdout, or to stderr if the output has gone to stdout; errors to stderr, and as JSON to stdout too."""
    for warning in outcome.warnings:
        say(f"warning: {warning}")
    if outcome.exit_code:
        say(outcome.text, outcome.trace)
    if as_json or not outcome.exit_code:
        text = json.dumps(outcome.record) if as_json else outcome.text
        click.echo(text, err=outcome.record.get("output") == "-")


def _counted(outcomes: "Iterable[Outcome]", total: int) -> "Iterator[Outcome]":
    """The same, with a bar of all files on stderr if that is a terminal."""
    from tqdm import tqdm

    yield from tqdm(outcomes, total=total, leave=False, disable=None, delay=PROGRESS_DELAY, bar_format=_BAR_OF_FILES)


@contextmanager
def _bars_away() -> Iterator[None]:
    """Bars make room for a line that is printed now."""
    from tqdm import tqdm

    with tqdm.external_write_mode():
        yield


@contextmanager
def _progress(name: str) -> "Iterator[Progress]":
    """A bar on stderr if that is a terminal; gone when the work is done."""
    from tqdm import tqdm

    from vlae_codec.files import shown

    with tqdm(total=1.0, desc=shown(name), leave=False, disable=None, delay=PROGRESS_DELAY, bar_format=_BAR) as bar:

        def show(done: float) -> None:
            bar.update(done - bar.n)

        yield show


_BAR = "{desc} {percentage:3.0f}% {bar} {remaining} left"
_BAR_OF_FILES = "{n_fmt} of {total_fmt} files {bar} {remaining} left"


def inspect(task: Callable[..., Any], sources: Sequence[str], as_json: bool) -> None:
    """Print what the task, called as `jobs.encode` is, finds out about each file; failures as in `run`."""
    from vlae_codec import batch
    from vlae_codec.files import Job

    order = batch.Order(task, bits=True)
    if len(sources) == 1:
        _print(batch.done(order, Job(sources[0], "")), as_json)
    else:
        _summarize(_shown((batch.perform(order, Job(source, "")) for source in sources), as_json))
