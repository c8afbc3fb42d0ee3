"""The CORS protocol: pages on which origins may call, and which response headers their scripts may read."""

import re
from collections.abc import Callable, Collection
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ANY = "*"
ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>\d{1,5}))?/?")
DEFAULT_PORTS = {"http": 80, "https": 443}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
EXPOSED = (
    "x-request-id",
    "retry-after",
    "x-should-retry",  # OpenAI's client obeys it, in a browser too
    "content-disposition",
    "content-range",
    "accept-ranges",
    "etag",
)
"""The response headers that scripts may read, beside those that they always may, such as Content-Type."""
MAX_AGE_S = 7_200
"""How long a browser may remember the response to a preflight. Chromium caps it at this."""

Refuse = Callable[[int, str, str], Response]
"""Makes an error response of a status, a reason and a sentence."""


def parse_origins(text: str) -> tuple[str, ...]:
    """Origins with commas between, as browsers send them, and `*`; raises ValueError with the end of a sentence."""
    entries = (entry.strip().lower() for entry in text.split(","))
    return tuple(entry if entry == ANY else _normalized(entry) for entry in entries if entry)


def listed_origins(origins: Collection[str]) -> tuple[str, ...]:
    """The origins without `*`: they may call everything."""
    return tuple(origin for origin in origins if origin != ANY)


def _normalized(text: str) -> str:
    """An origin without a slash at its end and without its scheme's default port, which browsers leave out."""
    match = ORIGIN.fullmatch(text)
    port = int(match["port"] or 0) if match else 0
    if match is None or port > 65_535:
        raise ValueError(
            "it is a list of origins with commas between, such as https://app.example.org,http://localhost:5173, "
            "and each is a scheme, a host and a port, without a path; * opens what is below /public/ alone"
        )
    origin = text.removesuffix("/")
    return origin.removesuffix(f":{port}") if port == DEFAULT_PORTS.get(match["scheme"]) else origin


class Cors:
    """Lets pages on `origins` call the application; where `*` is one, pages on any origin below `public_path`.

    Callers are authenticated by a token that the page's own script sends, never by cookies or client certificates. So
    Access-Control-Allow-Credentials is never sent, and a page gains nothing from whom its visitor is signed in as.
    Origins are listed nevertheless: a browser may reach a server that the author of a page cannot, on the visitor's
    machine or network, and a foreign page could register there, try passwords or read `/health`. Below `public_path`
    every call needs an API key, so any origin may be allowed.

    A WebSocket has no preflight: the GraphQL view compares its origin with the same list.
    """

    def __init__(self, app: ASGIApp, *, origins: Collection[str], public_path: str, refuse: Refuse) -> None:
        listed = listed_origins(origins)
        self._public_path = public_path
        self._public = _Middleware(app, (ANY,) if ANY in origins else listed, refuse)
        self._other = _Middleware(app, listed, refuse)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or add the headers to the application's response, be it an error or not."""
        is_public = scope["type"] == "http" and scope["path"].startswith(self._public_path)
        await (self._public if is_public else self._other)(scope, receive, send)


class _Middleware(CORSMiddleware):
    """Starlette's middleware, which sends no CORS headers to pages on other origins, and refuses in our own form."""

    def __init__(self, app: ASGIApp, origins: Collection[str], refuse: Refuse) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=(ANY,),  # the requested ones are returned: a `*` would not include Authorization
            # Sent by Chromium before version 142 with calls from a public page to a private address; later versions
            # ask the user instead. An origin that is listed was listed by whoever runs the server.
            allow_private_network=True,
            expose_headers=EXPOSED,
            max_age=MAX_AGE_S,
        )
        self._refuse = refuse

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code == HTTPStatus.OK:
            return response
        if self.is_allowed_origin(request_headers["origin"]):
            method = request_headers["access-control-request-method"]
            refusal = self._refuse(405, "METHOD_NOT_ALLOWED", f"There is no method {method} here.")
        else:
            sentence = f"Pages on {request_headers['origin']} may not call this: ORIGINS does not name it."
            refusal = self._refuse(403, "ORIGIN_NOT_ALLOWED", sentence)
        refusal.headers["Vary"] = response.headers["Vary"]
        return refusal

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        """Send the response; one to a page that may not read it gets `Vary` and no CORS header."""
        origin = request_headers.get("origin")
        is_readable = origin is not None and self.is_allowed_origin(origin)
        await super().send(message, send, request_headers if is_readable else Headers())
