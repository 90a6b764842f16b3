"""A learned lossy image codec: `encode` makes a Picture the bytes of a .vlae file, `decode` undoes that, `info` looks.

Every name but CodecError is imported when it is first used, so that `import vlae_codec` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vlae_codec.errors import CodecError

if TYPE_CHECKING:
    from vlae_codec.codec import decode, encode
    from vlae_codec.inspection import info

    __version__: str

__all__ = ["CodecError", "__version__", "decode", "encode", "info"]

_HOMES = {"decode": "vlae_codec.codec", "encode": "vlae_codec.codec", "info": "vlae_codec.inspection"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("vlae-codec")
        except PackageNotFoundError:  # run from its source, not installed
            return "0+unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
