"""The ``ftcore`` command: its subcommands and the way their errors end the process."""

from __future__ import annotations

import signal
import sys

import click

from ftcore.cli.chat import chat
from ftcore.cli.check import check
from ftcore.cli.check_mode import check_mode
from ftcore.cli.common import Context, report_error, shared_options
from ftcore.cli.config import config
from ftcore.cli.export import export, verify
from ftcore.cli.grammar import grammar
from ftcore.cli.new_mode import new_mode
from ftcore.cli.plugins import modes, plugins
from ftcore.cli.preview import preview
from ftcore.cli.train import train
from ftcore.errors import Terminated

EPILOG = """Shell completion: eval "$(_FTCORE_COMPLETE=bash_source ftcore)" (or zsh_source,
fish_source). NO_COLOR turns colours off. Results go to stdout, everything else to stderr."""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(package_name="ftcore", message="ftcore %(version)s")
@shared_options
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Fine-tune a language model in a cognitive mode, and prove that what was trained ships."""
    ctx.ensure_object(Context)


for command in (
    *(train, check, preview, config, export, verify, chat, grammar),
    *(modes, plugins, new_mode, check_mode),
):
    cli.add_command(command)


def _terminate(number: int, frame: object) -> None:
    """Ends a run as Ctrl-C does, so that its record says that it was interrupted."""
    raise Terminated


def main() -> None:
    """Runs the command line and exits: 0 good, 2 the user's input, 1 ours or the machine's."""
    debug = "--debug" in sys.argv
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except Terminated:
        click.echo("stopped by SIGTERM", err=True)
        code = 128 + signal.SIGTERM
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        code = 130
    except BrokenPipeError:  # the reader of a pipe has gone
        sys.stderr.close()
        code = 1  # what was to be said was not, so nothing may be taken for good
    except Exception as error:
        code = report_error(error, debug=debug)
    sys.exit(code if isinstance(code, int) else 0)
