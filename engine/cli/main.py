"""`leadledger`: every command, loaded when it is called.

Errors of ours are one sentence on standard error and an exit code; what a command
finds goes to standard output, all other talk to standard error.
"""

import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any

import click

from engine.errors import EngineError

INTERRUPTED = 130
COMMANDS = {
    "demo": "start",
    "doctor": "start",
    "import": "data",
    "export": "data",
    "head": "data",
    "rebuild": "data",
    "aside": "aside",
    "lead": "lead",
    "leads": "reports",
    "pipeline": "reports",
    "funnel": "reports",
    "rules": "rules",
}


class Commands(click.Group):
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

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run, and turn what goes wrong into a sentence and an exit code."""
        try:
            return super().main(*args, **{**extra, "standalone_mode": False}) or 0
        except click.exceptions.Exit as exit_:
            code = exit_.exit_code
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except EngineError as error:
            click.echo(f"leadledger: {error}", err=True)
            code = error.exit_code
        except (KeyboardInterrupt, click.Abort) as stop:
            click.echo(f"leadledger: {str(stop.__cause__ or stop) or 'stopped'}", err=True)
            code = INTERRUPTED
        except BrokenPipeError:
            sys.stderr.close()  # whoever read has gone, and wants to hear no more
            code = 0
        sys.exit(code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("leadledger"), "--version", "-V", prog_name="leadledger")
def cli() -> None:
    """Lead lifecycles from the facts: record touchpoints, derive everything else.

    \b
        $ leadledger import touchpoints.jsonl
        $ leadledger pipeline
        $ leadledger funnel first_touch_to_won --by channel
    """
