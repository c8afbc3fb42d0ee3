"""`python -m app.cli`: the command line as `luthier` runs it."""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main())
