"""The server's second port: figures for Prometheus, and a page for people who want to see what is going on.

Everyone who reaches the port may read the figures. Pictures, and who the clients are, are shown only to those who sit
at this machine or hold a token.
"""

from collections.abc import Callable

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from batch_server.serving.metrics import registry_of
from batch_server.serving.served_pictures import ServedPictures
from batch_server.serving.server import BatchServer
from batch_server.serving.status_page import status_of, status_page
from batch_server.serving.tls import ServerCertificate
from batch_server.serving.tokens import TokenFile
from inkstream.http_port import NOT_FOUND, Answer, HttpPort, Request
from inkstream.listening import ListenAddress

_SCHEME = "bearer "


def metrics_port(
    server: BatchServer,
    listen: ListenAddress,
    certificate: ServerCertificate | None = None,
    tokens: TokenFile | None = None,
) -> HttpPort:
    """The metrics port of a server; start it, and stop it after the server.

    Args:
        server: Whose figures it shows.
        listen: Where.
        certificate: For TLS; None listens without encryption.
        tokens: With which one may see everything from elsewhere; None accepts none.

    Raises:
        Failure: The address cannot be listened on.
    """
    registry, pictures = registry_of(server), ServedPictures(server.catalog, server.activity.latest)

    def answer(request: Request) -> Answer:
        shows_all = may_see_all(request, tokens.accepts if tokens else None)
        match request.path:
            case "/metrics":
                return Answer(CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry))
            case "/":
                return Answer("text/html; charset=utf-8", status_page(status_of(server), shows_all).encode())
            case "/contact-sheet.png" if shows_all and (sheet := pictures.png()):
                return Answer("image/png", sheet)
        return NOT_FOUND

    return HttpPort(listen, answer, certificate.ssl_context if certificate else None)


def may_see_all(request: Request, accepts: Callable[[str], bool] | None) -> bool:
    """Whether pictures and the names of clients are for whoever asks.

    Args:
        request: What is asked for.
        accepts: Whether a token is valid; None accepts none.
    """
    if request.is_local:
        return True
    given = request.headers.get("authorization", "")
    return accepts is not None and given[: len(_SCHEME)].lower() == _SCHEME and accepts(given[len(_SCHEME) :].strip())
