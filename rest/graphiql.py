"""GET /graphiql: the GraphQL editor, which hatch_build.py builds into `pages/`. GET / redirects to it."""

import re
import secrets
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from rest.errors import refusal
from rest.operations import BINARY, TEXT, DocumentedRoute, Operation, header

BUILT = Path(__file__).parent / "pages" / "graphiql"
NONCE = "NONCE_OF_THE_RESPONSE"
"""The placeholder of the nonce in the built page."""
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".ttf": "font/ttf"}
NAME = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)
GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)
"""gzip in Accept-Encoding, unless its weight is 0."""

POLICY = {
    "default-src": "'none'",
    "script-src": "'nonce-{nonce}'",
    "worker-src": "'self'",
    "style-src": "'nonce-{nonce}'",
    "style-src-attr": "'unsafe-inline'",  # Monaco places each line by a style attribute in its HTML
    "font-src": "'self'",
    "img-src": "data:",  # five small ones in Monaco's style sheet
    "connect-src": "'self'",  # over WebSocket too
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
CONTENT_SECURITY_POLICY = "; ".join(f"{name} {sources}" for name, sources in POLICY.items())
DISABLED_FEATURES = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")
PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{name}=()" for name in DISABLED_FEATURES),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
ASSET_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",  # the file name has a hash of the content
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",  # the policy of a worker
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}


def redirect_to_graphiql(_: Request) -> Response:
    """A redirect for browsers that open the server's address; 404 where the package was built without GraphiQL."""
    if not (BUILT / "index.html").is_file():
        return refusal(404, "NOT_FOUND", "There is no page here: the API is at /graphql.")
    return RedirectResponse("/graphiql")


def page(_: Request) -> Response:
    """The page, with a new nonce; 503 where the package was built without GraphiQL."""
    try:
        html = (BUILT / "index.html").read_text()
    except FileNotFoundError:
        return refusal(503, "UNAVAILABLE", "GraphiQL was left out when this Luthier was built.")
    nonce = secrets.token_urlsafe(16)
    policy = {"Content-Security-Policy": CONTENT_SECURITY_POLICY.format(nonce=nonce)}
    return HTMLResponse(html.replace(NONCE, nonce), headers=PAGE_HEADERS | policy)


def asset(request: Request) -> Response:
    """A script, a style sheet or a font of the page, gzipped where the client accepts that."""
    path = _asset(request.path_params["name"])
    if path is None:
        return refusal(404, "NOT_FOUND", "GraphiQL has no such file.")
    is_gzipped = GZIP.search(request.headers.get("accept-encoding", "")) is not None
    file = path.with_name(f"{path.name}.gz") if is_gzipped else path
    headers = (
        ASSET_HEADERS | {"ETag": f'"{file.name}"'} | ({"Content-Encoding": "gzip"} if is_gzipped else {})
    )
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return FileResponse(file, headers=headers, media_type=MEDIA_TYPES[path.suffix])


def _asset(name: str) -> Path | None:
    """The path of the file with this name; None where there is none."""
    path = BUILT / "assets" / name
    return path if NAME.fullmatch(name) and path.suffix in MEDIA_TYPES and path.is_file() else None


REDIRECT = Operation(
    id="root",
    summary="A redirect to GraphiQL",
    tag="GraphQL",
    responses={307: {"description": "The redirect.", "headers": {"Location": header("`/graphiql`.")}}},
    errors=(404,),
)
PAGE = Operation(
    id="graphiql",
    summary="GraphiQL, the GraphQL editor",
    tag="GraphQL",
    responses={200: {"description": "The page.", "content": {"text/html": {"schema": TEXT}}}},
)
ASSET = Operation(
    id="graphiqlAsset",
    summary="A file of GraphiQL",
    tag="GraphQL",
    responses={
        200: {
            "description": "The file.",
            "content": {type_: {"schema": BINARY} for type_ in MEDIA_TYPES.values()},
        },
        304: {"description": "The client has the file already."},
    },
)
ROUTES = [
    DocumentedRoute("/", redirect_to_graphiql, REDIRECT),
    DocumentedRoute("/graphiql", page, PAGE),
    DocumentedRoute("/graphiql/assets/{name}", asset, ASSET),
]
