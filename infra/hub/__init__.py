"""Models of the Hugging Face Hub, or of a server that speaks its protocol."""

from infra.hub._hub import HuggingFaceHub

__all__ = ["HuggingFaceHub"]
