"""The ports that are not stores: what a request or a job needs from outside of the database."""
