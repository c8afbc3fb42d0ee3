"""What takes long: one handler for each type of job."""
