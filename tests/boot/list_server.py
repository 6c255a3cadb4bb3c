"""An HTTPS server with lists, good ones and bad ones, by path. A program: ADDRESS CERTIFICATE KEY.

Prints a line once it listens at port 443.
"""

from __future__ import annotations

import ssl
import sys
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LIST = b"# the office\n198.51.100.0/24\n2001:db8:10::/48\n"
LARGE = b"192.0.2.1\n" * 1_800_000
ANSWERS = {
    # by path: what is sent
    "/list": LIST,
    "/last-line-open": LIST.removesuffix(b"\n"),
    "/empty": b"",
    "/comments": b"# nothing today\n",
    "/page": b"<!DOCTYPE html>\n<html><body>\nBack soon\n</body></html>\n",
    "/bytes": LIST + b"\xff\xfe\n",
    "/large": LARGE,
    "/cut": LIST[:-30],
    "/last-line-open-unannounced": LIST.removesuffix(b"\n"),
    "/large-unannounced": LARGE,
    "/moved": b"elsewhere\n",
    "/missing": LIST,
    # As the Internet has them: by family, the last line open.
    "/ips-v4": b"198.51.100.0/24",
    "/ips-v6": b"2001:db8:10::/48",
}
STATUS = {"/moved": HTTPStatus.FOUND, "/missing": HTTPStatus.NOT_FOUND}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/never":
            time.sleep(600)
        body = ANSWERS[self.path]
        self.send_response(STATUS.get(self.path, HTTPStatus.OK))
        if self.path == "/moved":
            self.send_header("Location", "/list")
        if not self.path.endswith("-unannounced"):
            length = len(LIST) if self.path == "/cut" else len(body)
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    address, certificate, key = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer((address, 443), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
