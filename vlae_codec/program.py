"""How `vlae` ends: whatever a command raises becomes one line on stderr and an exit code.

Imports click, errors and limits.
"""

import io
import os
import sys
import traceback
import warnings
from importlib import import_module
from typing import Any

import click

from vlae_codec.errors import CodecError, LimitError
from vlae_codec.limits import is_lack_of_memory

ELSEWHERE = {"compare": "vlae_codec.compare.command"} | dict.fromkeys(
    ("train", "export", "diagnose"), "vlae_codec.training.commands"
)
"""Commands that have modules of their own, imported when they are asked for."""
INTERRUPTED = 130  # as shells count it: 128 + SIGINT


class Program(click.Group):
    """Lists commands in the order of their definition; whatever they raise ends with one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names for --help, not sorted."""
        return [*self.commands, *ELSEWHERE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported if it has a module of its own."""
        if cmd_name in ELSEWHERE:
            command: click.Command = getattr(import_module(ELSEWHERE[cmd_name]), cmd_name)
            return command
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names hold what some terminals cannot show
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
                raise  # click ends quietly when nobody reads stdout any more
            except BaseException as error:
                ctx.exit(complain(error))


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    click.echo(f"vlae: warning: {message}", err=True)


def complain(error: BaseException, name: str = "") -> int:
    """One line on stderr, with the name of the file where the error has none; the exit code."""
    message, code = explain(error, name)
    say(message, "".join(traceback.format_exception(error)))
    return code


def say(message: str, trace: str = "") -> None:
    """One line on stderr; with VLAE_DEBUG=1 the traceback before it."""
    if os.environ.get("VLAE_DEBUG") == "1" and trace:
        click.echo(trace, err=True)
    click.echo(f"vlae: {message}", err=True)


def explain(error: BaseException, name: str = "") -> tuple[str, int]:
    """What to tell the user in one line, with the name of the file where the error has none; the exit code."""
    message, code = _explain(error)
    if name and not isinstance(error, CodecError):
        message = f"{name}: {message}"
    return " ".join(message.split()), code


def _explain(error: BaseException) -> tuple[str, int]:
    if isinstance(error, CodecError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    if is_lack_of_memory(error):
        return "not enough memory", LimitError.exit_code
    message = f"internal error: {type(error).__name__}: {error}"
    return f"{message} (please report this, with what VLAE_DEBUG=1 prints)", CodecError.exit_code
