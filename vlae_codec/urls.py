"""Files at URLs that fsspec knows (s3://, gs://, sftp://, ...): whole ones in, whole ones out.

The only importer of fsspec; what speaks a protocol (s3fs, gcsfs) is the user's to install. file:// is no URL here but
another spelling of a local path, which `plain` undoes, so that all of the care for local files holds for it too.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vlae_codec.errors import CodecError, InputError, OutputError, UsageError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters at least: C:// is a drive
_LOCAL = ("file://", "local://")


def is_url(name: str) -> bool:
    """Whether the name is s3://bucket/key or the like, and no path."""
    return _SCHEME.match(name) is not None


def plain(name: str) -> str:
    """file:///x -> /x; other names stay as they are."""
    if not name.startswith(_LOCAL):
        return name
    _, path = _opened(name)
    return str(path)


def join(folder: str, *parts: str) -> str:
    """The URL of what lies in a folder."""
    return "/".join((folder.rstrip("/"), *parts))


def read_bytes(url: str) -> bytes:
    """All of a file. InputError if it is not there or its store refuses."""
    filesystem, path = _opened(url)
    with _reporting_as(InputError, url):
        data: bytes = filesystem.cat_file(path)
        return data


def exists(url: str) -> bool:
    """Whether there is a file. OutputError if its store does not say."""
    filesystem, path = _opened(url)
    with _reporting_as(OutputError, url):
        return bool(filesystem.isfile(path))


def is_folder(url: str) -> bool:
    """Whether there is a folder, or an object whose name goes on below it."""
    filesystem, path = _opened(url)
    with _reporting_as(InputError, url):
        return bool(filesystem.isdir(path))


def find(url: str) -> list[str]:
    """Names of all files below a folder, relative to it, sorted."""
    filesystem, path = _opened(url)
    start = path.rstrip("/") + "/"
    with _reporting_as(InputError, url):
        return sorted(name.removeprefix(start) for name in filesystem.find(path) if name.startswith(start))


def write(url: str, data: bytes) -> None:
    """The whole file or nothing, in place of what is there: stores put objects at once, others commit at the end."""
    filesystem, path = _opened(url)
    with _reporting_as(OutputError, url):
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        with filesystem.transaction, filesystem.open(path, "wb") as file:
            file.write(data)


def _opened(url: str) -> tuple[Any, str]:
    """The filesystem, and the path in it."""
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:  # its driver is not installed, or there is none
        raise UsageError(f"{url}: {error}") from error
    return filesystem, path


@contextmanager
def _reporting_as(kind: type[CodecError], url: str) -> Iterator[None]:
    """Every store raises errors of its own; here they become one of ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise kind(f"{url}: No such file or directory") from error
    except Exception as error:
        raise kind(f"{url}: {error or type(error).__name__}") from error
