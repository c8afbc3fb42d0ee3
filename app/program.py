"""How our own command is run as a child."""

from infra.python_modules import module_command

PROGRAM = module_command("app.cli")
