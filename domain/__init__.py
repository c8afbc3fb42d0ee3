"""Records, rules, use cases and the ports that they need. Imports the standard library and `typeid` only."""
