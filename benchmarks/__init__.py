"""How fast it is, against named peers, in one run."""
