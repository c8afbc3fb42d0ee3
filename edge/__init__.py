"""What every way in shares: bodies, bearer tokens, event streams, quotas, slow clients, request ids. It knows only the domain."""
