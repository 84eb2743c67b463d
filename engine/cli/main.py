"""`leadledger`: every command, loaded when it is called.

Errors of ours are one sentence on standard error and an exit code; what a command
finds goes to standard output, all other talk to standard error.
"""

import io
import os
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any

import click

from engine.cli.group import Group
from engine.cli.output import plain
from engine.errors import EngineError

INTERRUPTED = 130
AWAY = 7
COMMANDS = {
    "demo": "start",
    "doctor": "start",
    "import": "data",
    "export": "data",
    "head": "data",
    "rebuild": "data",
    "project": "project",
    "announce": "announce",
    "backup": "backup",
    "migrate": "migrate",
    "kafka": "kafka",
    "emit": "emit",
    "consume": "consume",
    "aside": "aside",
    "lead": "lead",
    "leads": "reports",
    "pipeline": "reports",
    "funnel": "reports",
    "rules": "rules",
    "replay": "replay",
    "touchpoint": "touchpoint",
    "audit": "audit",
}


class Commands(Group):
    """A group whose commands' modules are imported only when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"engine.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; where whoever read it has gone, that is the end, and no fault."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _give_up_output()
            return 0

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run, and turn what goes wrong into a sentence and an exit code."""
        _take_outputs()
        try:
            return super().main(*args, **{**extra, "standalone_mode": False}) or 0
        except click.exceptions.Exit as exit_:
            code = exit_.exit_code
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except EngineError as error:
            click.echo(plain(f"leadledger: {error}"), err=True)
            code = error.exit_code
        except (KeyboardInterrupt, click.Abort) as stop:
            click.echo(f"leadledger: {str(stop.__cause__ or stop) or 'stopped'}", err=True)
            code = INTERRUPTED
        except OSError as error:
            click.echo(plain(f"leadledger: {_told(error)}"), err=True)
            code = AWAY
        sys.exit(code)


def _take_outputs() -> None:
    """Let outputs that were closed go nowhere, and write ? for what an encoding does not have."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # its descriptor must not become that of another file
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _told(error: OSError) -> str:
    """What the system refuses."""
    if error.filename is not None:
        return f"cannot use {error.filename}: {error.strerror}; name another file, or mend that"
    _give_up_output()
    return f"cannot write the output ({error.strerror}); make room, or send it elsewhere"


def _give_up_output() -> None:
    """Let what did not get out go nowhere, or Python would try once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("leadledger"), "--version", "-V", prog_name="leadledger")
def cli() -> None:
    """Lead lifecycles from the facts: record touchpoints, derive everything else.

    \b
        $ leadledger import touchpoints.jsonl
        $ leadledger pipeline
        $ leadledger funnel first_touch_to_won --by channel
    """
