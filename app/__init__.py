"""The composition root: settings, wiring, the ASGI application, the command line and the process tree."""
