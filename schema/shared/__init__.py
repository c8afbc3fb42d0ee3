"""What all nouns share: nodes, connections, payloads, errors, scalars and projection. No noun may enter."""
