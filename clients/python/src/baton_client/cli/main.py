"""The command line put together, and its one place that catches errors."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from baton_client.cli import doctor, failures, operating, running, spending, tasks, top
from baton_client.cli.batches import batch
from baton_client.cli.bulk import bulk
from baton_client.cli.options import Connection
from baton_client.cli.output import complain, say
from baton_client.errors import BatonError
from baton_client.version import VERSION

app = typer.Typer(
    name="baton",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=failures.TABLE,
)
for command in (
    running.run, running.submit, running.watch, tasks.get, tasks.ls, tasks.cancel, tasks.retry, tasks.priority,
    tasks.explain, top.top, operating.workers, operating.queues, operating.models, spending.usage, operating.drain,
    operating.pause, operating.resume, doctor.doctor,
):  # fmt: skip
    app.command()(command)
app.add_typer(batch, name="batch")
app.add_typer(bulk, name="bulk")


def _version(wanted: bool) -> None:
    if wanted:
        say(f"baton-client {VERSION}")
        raise typer.Exit


@app.callback()
def before(
    context: typer.Context,
    url: Annotated[str | None, typer.Option("--url", help="Where Baton is; otherwise BATON_URL says it.")] = None,
    api_key: Annotated[
        str | None, typer.Option("--api-key", help="Better in BATON_API_KEY: a command line can be seen by others.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Run inference tasks on Baton and look after it.

    Address and key come from BATON_URL and BATON_API_KEY, or from .data/credentials.json of a `make run` in this folder
    or one above it. Every command has --help; most have --json for scripts.
    """
    context.obj = Connection(url, api_key)


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # whatever a terminal cannot show, a result is never lost for it
    try:
        app()
    except BatonError as error:
        sys.exit(failures.report(error, as_json="--json" in sys.argv))
    except UnicodeEncodeError:
        complain("baton: what was given holds characters that cannot be sent: is it UTF-8?")
        sys.exit(failures.USAGE)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            sys.stderr.close()  # whoever read our output has enough of it
            sys.exit(failures.FAILED)
        complain(f"baton: {error}")
        sys.exit(failures.FAILED)
