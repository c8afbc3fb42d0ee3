"""The adapters: PostgreSQL, S3, model servers and the training process."""
