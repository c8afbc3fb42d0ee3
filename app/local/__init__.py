"""The local process tree: PostgreSQL, S3 and the model runtime, the API and the worker as children of `luthier up`."""
