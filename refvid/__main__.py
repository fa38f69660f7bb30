"""`refvid`, and `python -m refvid`."""

import sys

from refvid.cli.signals import clean_up_when_stopped
from refvid.cli.streams import fill_closed_streams
from refvid.errors import INTERRUPTED_EXIT_CODE


def main() -> None:
    """Run the program: the `refvid` console script.

    What takes time to import is imported here, so that it can be stopped from the first moment on.
    """
    try:
        fill_closed_streams()
        clean_up_when_stopped()
        from refvid.cli.app import main as run  # noqa: PLC0415

        run()
    except KeyboardInterrupt:  # outside of any command, which says so itself
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED_EXIT_CODE)


if __name__ == "__main__":
    main()
