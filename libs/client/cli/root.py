"""The command `convergence` and its groups."""

import itertools
import sys
from typing import Final, NoReturn

import click

from libs.client.cli import failures
from libs.client.cli.admin import admin
from libs.client.cli.backfills import backfills
from libs.client.cli.keys import keys
from libs.client.cli.local import local
from libs.client.cli.pipelines import pipelines
from libs.client.cli.runs import runs
from libs.client.cli.schedules import schedules
from libs.client.cli.tenants import tenants
from libs.common import errors

INTERRUPTED: Final = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="convergence", prog_name="convergence")
def convergence() -> None:
    """Load usage and bills of many tenants into their own BigQuery tables, checked and exact.

    \b
    First steps on a laptop:
      convergence local up                 start the mesh, its state in .convergence/
      convergence admin init               create the metadata and the first platform key
      convergence tenants create acme_corp
      convergence runs start p_focus_billing

    \b
    Which edge is called, with which key:
      --address or CONVERGENCE_ADDRESS     default localhost:50051; others are called over TLS
      CONVERGENCE_API_KEY                  never an argument, so that it stays out of process lists
      ~/.config/convergence/profiles.toml  [profiles.NAME] address, api_key_file, tenant
      CONVERGENCE_TENANT or --tenant       where names leave the tenant out

    \b
    Exit status: 0 done; 1 a run failed, was held or cancelled; 2 wrong arguments or files;
    3 refused (key, permission, quota, state); 4 the service cannot be reached.
    """


for group in (local, admin, tenants, keys, pipelines, runs, backfills, schedules):
    convergence.add_command(group)


def main() -> None:
    """Run the command line; never print a traceback for what a user can cause."""
    try:
        convergence(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(failures.WRONG_ARGUMENTS)
    except click.ClickException as error:
        _end(failures.wrong(error))
    except errors.ServiceError as error:
        _end(failures.refusal(error))
    except failures.Refused as error:
        _end(error.said)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        _end(failures.unusable(error))


def _end(said: failures.Refusal) -> NoReturn:
    given = sys.argv[1:]
    json = "--output=json" in given or ("--output", "json") in itertools.pairwise(given)
    click.echo(said.json() if json else "\n".join(said.lines()), err=True)
    sys.exit(said.status)
