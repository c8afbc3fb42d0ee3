"""How our own command is run as a child."""

import sys

PROGRAM = (sys.executable, "-P", "-m", "app.cli")
"""With -P, for a folder `app` where the user stands is not ours."""
