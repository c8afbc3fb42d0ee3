"""What can be done: inputs, payloads and mutations, one file for each noun."""
