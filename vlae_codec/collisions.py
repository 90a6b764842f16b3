"""No two results in one place, and none in the place of a source: found out before anything is done.

Where the file system takes A.vlae and a.vlae for one name, so does this; it is asked only if there are such names.
"""

import os
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from vlae_codec import temporary, urls
from vlae_codec.errors import OutputError, UsageError


def refuse(jobs: Sequence[tuple[str, str]], stream: str, shown: Callable[[str], str]) -> None:
    """Check (source, target) pairs; `stream` is the name of stdin and stdout, `shown` makes a name printable.

    Raises:
        UsageError: two results would have the same name.
        OutputError: a result would take the place of a source.
    """
    for place, counts in ((_place, _always), (_folded, _ignores_case)):
        sources = {place(source) for source, _ in jobs if source != stream}
        taken: dict[str, str] = {}
        for source, target in jobs:
            where = target if target == stream else place(target)
            if where in taken and counts(target):
                both = f"{shown(taken[where])} and {shown(source)}"
                raise UsageError(f"{both} would both be written to {shown(target)}")
            if where in sources and counts(target):
                raise OutputError(f"{shown(target)} is an input of this call; another output wanted")
            taken[where] = source


def _always(_target: str) -> bool:
    return True


def _place(name: str) -> str:
    return name if urls.is_url(name) else os.path.realpath(name)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", _place(name)).casefold()


def _ignores_case(target: str) -> bool:
    """Whether names that differ in case are one where the target will be; True where that cannot be tried out."""
    if urls.is_url(target):
        return False
    folder = next(above for above in Path(os.path.realpath(target)).parents if above.is_dir())
    trial = temporary.name_in(folder)
    try:
        trial.touch(exist_ok=False)
    except OSError:
        return True
    try:
        return trial.with_name(trial.name.upper()).exists()
    finally:
        trial.unlink()
