"""What is true: records, rules, use cases and the ports they need. Standard library and TypeIDs only."""
