"""What GraphQL, REST and the gateway share: bodies, bearer tokens, event streams, quotas, slow clients, request ids."""
