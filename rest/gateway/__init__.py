"""The OpenAI endpoint of a project's deployments."""

from rest.gateway._gateway import Gateway

__all__ = ["Gateway"]
