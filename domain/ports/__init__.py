"""Ports to what is outside of the database: storage, models, training, tokens and rate limits. Protocols may enter, no adapter."""
