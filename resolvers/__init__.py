"""Who may ask: each answer checks the viewer, opens one transaction and calls the domain."""
