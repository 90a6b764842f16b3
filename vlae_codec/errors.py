"""Everything that can go wrong by the fault of a file, a user or a machine. Imports nothing.

    CodecError             1   base class of all that the command line prints as one line
    ├── UsageError         2   options that contradict each other
    ├── InputError         3   the input cannot be read, or is not a picture
    ├── BitstreamError     4   the bytes are not a complete, undamaged .vlae file
    ├── IncompatibleError  5   a newer format, or a model that is not here
    ├── LimitError         6   larger than the limits allow
    ├── OutputError        7   the output exists or cannot be written
    ├── TargetError        8   the wanted size or quality cannot be reached
    └── BatchError         9   some files of several failed

The number is the exit code of the `vlae` command.
"""


class CodecError(Exception):
    """Base class; the message gives the value found and the value wanted."""

    exit_code = 1


class UsageError(CodecError):
    """Options that contradict each other or lie outside their range."""

    exit_code = 2


class InputError(CodecError):
    """The input cannot be read, or is not a picture that this program reads."""

    exit_code = 3


class BitstreamError(CodecError):
    """The bytes are not a complete, undamaged .vlae file."""

    exit_code = 4


class IncompatibleError(CodecError):
    """A .vlae file that needs a newer program or a model that is not installed."""

    exit_code = 5


class LimitError(CodecError):
    """The picture is larger than the limits allow; raised before anything is allocated."""

    exit_code = 6


class OutputError(CodecError):
    """The output exists already, or cannot be written."""

    exit_code = 7


class TargetError(CodecError):
    """The wanted size or quality cannot be reached; the message names the best possible value.

    nearest: what has it, if anybody wants that all the same.
    """

    exit_code = 8

    def __init__(self, message: str, nearest: object = None):
        super().__init__(message)
        self.nearest = nearest


class BatchError(CodecError):
    """Some files of several failed; each was reported when it did."""

    exit_code = 9
