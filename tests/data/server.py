"""A server on this machine that speaks HTTPS, and misbehaves when told to."""

import re
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def make_certificate(folder):
    """A certificate for localhost, which nobody knows but who reads it here."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    extra = [
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    subprocess.run([*command.split(), *extra], check=True, capture_output=True)
    return key, certificate


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        self.close_connection = True
        try:
            turns = self.server.answers[self.path]
            (turns.pop(0) if len(turns) > 1 else turns[0])(self)
        except (ConnectionError, ssl.SSLError):
            pass

    def log_message(self, *words):
        pass

    def head(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, key, certificate):
        super().__init__(("localhost", 0), Handler)
        self.answers, self.asked = {}, []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.address = f"https://localhost:{self.server_port}/"

    def handle_error(self, request, client_address):
        pass


@contextmanager
def serving(key, certificate):
    server = Server(key, certificate)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def whole(content, tag='"one"'):
    """A good server, which sends parts too."""

    def answer(handler):
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(asked[1]) if asked and handler.headers.get("If-Range") == tag else 0
        if start >= len(content) > 0:
            handler.head(416, Content_Length=0)
            return
        headers = {"Content_Length": len(content) - start, "Accept_Ranges": "bytes", "ETag": tag}
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.head(206 if start else 200, **headers)
        handler.wfile.write(content[start:])

    return answer


def begins(content, length=None, then=lambda handler: None, **headers):
    """Promises so many bytes, sends some, and then does something else."""

    def answer(handler):
        handler.head(200, Content_Length=length or 2 * len(content), **headers)
        handler.wfile.write(content)
        handler.wfile.flush()
        then(handler)

    return answer


def says(status, **headers):
    return lambda handler: handler.head(status, Content_Length=0, **headers)
