"""`python -m refvid`."""

from refvid.cli.app import main

if __name__ == "__main__":
    main()
