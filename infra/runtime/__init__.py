"""Model runtimes: the embedded one, and any server that speaks the OpenAI protocol."""

MODEL_KEY = "LUTHIER_MODEL_KEY"
"""The environment variable with the API key of a model process: every user of the machine can read arguments."""
