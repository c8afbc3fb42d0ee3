"""How it is kept: adapters of the ports to PostgreSQL, S3, models and the training process."""
