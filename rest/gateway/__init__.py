"""The OpenAI endpoint of a project's deployments."""

from rest.gateway._gateway import Gateway
from rest.gateway._operations import operations

__all__ = ["Gateway", "operations"]
