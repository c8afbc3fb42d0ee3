"""One module for each command of the command line, so that none pays for the imports of another."""
