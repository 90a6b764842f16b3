"""Names as the shell gives them, files and folders mixed -> which file becomes which, before anything is done.

Below a folder, files count by their suffix, names that begin with a dot do not, and links to folders are not followed:
so there are no loops, and no file twice. What cannot be listed is part of the plan, as a failure.
"""

import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from vlae_codec import collisions, files, urls
from vlae_codec.batch.order import Outcome, failure
from vlae_codec.errors import InputError, UsageError
from vlae_codec.files import Job, shown

PICTURES = frozenset(
    f".{name}"
    for name in re.findall(
        r"\w+", "png jpg jpeg jpe jfif webp avif tif tiff bmp ppm pgm pbm pnm gif jp2 j2k jpf jpx heic heif"
    )
)
"""Suffixes of the formats that `images.read` reads."""
CODED = ".vlae"


@dataclass(frozen=True)
class Plan:
    """What is to be done, and the outcomes of what cannot be."""

    jobs: list[Job]
    unreadable: list[Outcome]
    has_folders: bool

    def make_folders(self) -> None:
        """Those of the outputs; without folders among the inputs they must exist. OutputError if one cannot be."""
        if self.has_folders:
            for folder in sorted({str(Path(job.target).parent) for job in self.jobs if not urls.is_url(job.target)}):
                files.make_folder(folder)


def plan(sources: Sequence[str], output: str | None, suffix: str, recursive: bool = False) -> Plan:
    """Files become what `files.plan` says, those below a folder the same below `output`, sub-folders kept.

    Args:
        output: a folder, which need not exist if there are folders among the sources.
        suffix: of the results; ".vlae" looks for pictures, any other for .vlae files.
    Raises:
        UsageError: an output that is no folder, two results of one name.
        InputError: a folder without `recursive`, or folders and nothing in them.
        OutputError: a result would take the place of a source.
    """
    sources = [urls.plain(source) for source in sources]
    output = None if output is None else urls.plain(output)
    folders = [source for source in sources if files.is_folder(source)]
    if not folders:
        return Plan(files.plan(sources, output, suffix), [], has_folders=False)
    if not recursive:
        raise InputError(f"{shown(folders[0])}: Is a directory; --recursive takes the files in it")
    if output is not None and (output == files.STREAM or files.exists(output)):
        raise UsageError(f"-o {shown(output)} is no folder, as many outputs need")
    wanted = PICTURES if suffix == CODED else frozenset({CODED})
    unreadable: list[Outcome] = []
    jobs: list[Job] = []
    for source in sources:
        found = _found(source, wanted, unreadable) if source in folders else None
        jobs += _jobs_of(source, found, output, suffix)
    if not jobs and not unreadable:
        raise InputError(f"{shown(folders[0])}: no files with one of the suffixes {' '.join(sorted(wanted))}")
    collisions.refuse(jobs, files.STREAM, shown)
    return Plan(jobs, unreadable, has_folders=True)


def _jobs_of(source: str, found: list[str] | None, output: str | None, suffix: str) -> list[Job]:
    """Those of a folder in which these names were found; None for a file."""
    if found is None:
        return [Job(source, files.target_of(source, output, suffix))]
    return [Job(_below(source, name), _below(output or source, str(_renamed(name, suffix)))) for name in found]


def _renamed(name: str, suffix: str) -> PurePath:
    path = PurePath(name)
    return path.parent / (path.stem + suffix)


def _below(folder: str, name: str) -> str:
    return urls.join(folder, *PurePath(name).parts) if urls.is_url(folder) else str(Path(folder, name))


def _found(folder: str, suffixes: frozenset[str], unreadable: list[Outcome]) -> list[str]:
    """Names relative to the folder, in order."""
    names = urls.find(folder) if urls.is_url(folder) else _walked(folder, unreadable)
    return [name for name in names if _counts(PurePath(name), suffixes)]


def _counts(path: PurePath, suffixes: frozenset[str]) -> bool:
    return path.suffix.lower() in suffixes and not any(part.startswith(".") for part in path.parts)


def _walked(folder: str, unreadable: list[Outcome]) -> list[str]:
    """All files below a local folder, relative to it, in order."""
    names: list[str] = []
    for where, folders, inside in os.walk(folder, onerror=_reporter(unreadable)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if Path(where, name).is_symlink():
                warnings.warn(f"{shown(str(Path(where, name)))}: a link to a folder, not followed", stacklevel=2)
        names += [os.path.relpath(Path(where, name), folder) for name in sorted(inside)]
    return names


def _reporter(unreadable: list[Outcome]) -> Callable[[OSError], None]:
    def report(error: OSError) -> None:
        name = os.fsdecode(error.filename)
        message = f"{shown(name)}: {error.strerror or error}"
        unreadable.append(failure(Job(name, ""), message, InputError.exit_code))

    return report
