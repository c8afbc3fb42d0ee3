"""Where models run: the embedded runtime, or any server that speaks the OpenAI protocol."""

MODEL_KEY = "LUTHIER_MODEL_KEY"
"""The variable that holds the key of a model process's server: in its arguments, every user would see it."""
