"""What GraphQL, REST and the gateway share: bodies, bearer tokens, event streams, CORS, quotas, slow clients, request ids."""
