"""Run the packaged project: ``python -m flawline``, with the options of ``kedro run``; ``flawline verify`` needs no
project."""

import logging
import sys
from pathlib import Path


def main() -> None:
    if sys.argv[1:2] == ["verify"]:
        logging.disable(logging.INFO)  # Kedro would tell, as it is imported, how it logs
        from flawline.cli import cli

        cli(prog_name="flawline")
    from kedro.framework.cli.utils import find_run_command
    from kedro.framework.project import configure_project

    package = Path(__file__).parent.name
    configure_project(package)
    find_run_command(package)()


if __name__ == "__main__":
    main()
