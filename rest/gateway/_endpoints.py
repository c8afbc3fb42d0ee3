"""The paths of the OpenAI endpoint."""

import re

CHAT, COMPLETIONS = "chat/completions", "completions"
ENDPOINTS = {CHAT: "POST", COMPLETIONS: "POST", "models": "GET", "models/{model}": "GET", "health": "GET"}
"""The paths below a project, and their methods."""
PATH = re.compile(rf"/public/([^/]+)/(?:v1/)?(?:({CHAT}|{COMPLETIONS}|models|health)/?|models/(.+))")
"""The project's id and the name of the endpoint, or without one the name of a model."""
