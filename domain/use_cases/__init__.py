"""What is done: use cases over a store that is open, one file for each noun."""
