"""An HTTP proxy on loopback between the agent and the search server, which a test tells how to misbehave."""

import contextlib
import http.client
import socket
import ssl
import threading

from ports import free_port
from tcp_proxy import reset


class Request:
    def __init__(self, method, path, headers, head, body):
        self.method = method
        self.path = path
        self.headers = headers
        self.head = head
        self.body = body

    @property
    def bulk(self):
        return self.path.split("?")[0].endswith("/_bulk")


def answer(status, body, content_type="application/json", extra=()):
    """The bytes of a complete HTTP answer."""
    if isinstance(body, str):
        body = body.encode()
    reason = http.client.responses.get(status, "Status")
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *extra]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def forward(proxy, client, request):
    client.sendall(proxy.exchange(request))


def refuse(proxy, client, request):
    raise ConnectionResetError


def silence(proxy, client, request):
    """Takes the request, never answers, never passes it on; ends when the rule changes."""
    rule = proxy.rule
    while proxy.rule is rule and not proxy.closed:
        proxy.changed.wait(0.1)
    raise ConnectionResetError


def html(proxy, client, request):
    client.sendall(answer(200, "<html><body>It works!</body></html>", "text/html"))


def bad_gateway(proxy, client, request):
    client.sendall(answer(502, "<html><h1>502 Bad Gateway</h1></html>", "text/html"))


def redirect(proxy, client, request):
    client.sendall(answer(302, b"", extra=["Location: http://192.0.2.1/login"]))


def half_answer(proxy, client, request):
    """The request is applied, and its answer is cut in the middle."""
    data = proxy.exchange(request)
    client.sendall(data[: len(data) // 2])
    raise ConnectionResetError


def swallow_answer(proxy, client, request):
    """The request is applied, and its answer is lost."""
    proxy.exchange(request)
    raise ConnectionResetError


def only_bulk(rule):
    """The rule for bulk requests; everything else passes."""
    return lambda proxy, client, request: (rule if request.bulk else forward)(proxy, client, request)


class Holder:
    """A rule: the first bulk request whose body contains `text` is kept (and gets no answer) until land() sends it on to the server."""

    def __init__(self, text):
        self.text = text
        self.held = None
        self.arrived = threading.Event()

    def __call__(self, proxy, client, request):
        if self.arrived.is_set() or not (request.bulk and self.text in request.body):
            return forward(proxy, client, request)
        self.held = request
        self.arrived.set()
        return silence(proxy, client, request)

    def land(self, proxy):
        """What was held arrives at the server now."""
        proxy.exchange(self.held)


class HttpProxy:
    """`rule(proxy, client, request)` decides what each request gets; raising OSError in it resets the connection."""

    def __init__(self, host, port, tls=None):
        self.upstream = (host, port)
        self.port = free_port()
        self.rule = forward
        self.requests = 0
        self.closed = False
        self.changed = threading.Event()
        self._context = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*tls)
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def become(self, rule):
        """From now on `rule` answers; whoever sits in silence() is reset."""
        self.rule = rule
        self.changed.set()
        self.changed.clear()

    def close(self):
        self.closed = True
        self.changed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            client.settimeout(60)
            if self._context:
                client = self._context.wrap_socket(client, server_side=True)
            stream = client.makefile("rb")
            while not self.closed:
                request = self._read(client, stream)
                if request is None:
                    break
                self.requests += 1
                self.rule(self, client, request)
            client.close()
        except (OSError, ValueError, http.client.HTTPException):
            reset(client)

    def _read(self, client, stream):
        line = stream.readline()
        if not line.strip():
            return None
        method, path, _ = line.decode("latin-1").split(" ", 2)
        head, headers = [], {}
        while (header := stream.readline()) not in (b"\r\n", b"\n", b""):
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
            if name.strip().lower() not in ("expect", "transfer-encoding", "content-length", "connection"):
                head.append(header)
        if "100-continue" in headers.get("expect", "").lower():
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body = bytearray()
            while size := int(stream.readline().split(b";")[0], 16):
                body += stream.read(size)
                stream.readline()
            stream.readline()
            body = bytes(body)
        else:
            body = stream.read(int(headers.get("content-length", 0)))
        return Request(method, path, headers, b"".join(head), body)

    def exchange(self, request):
        """Sends the request to the server and returns its whole answer as bytes."""
        with socket.create_connection(self.upstream, timeout=60) as server:
            start = f"{request.method} {request.path} HTTP/1.1\r\nContent-Length: {len(request.body)}\r\nConnection: close\r\n"
            server.sendall(start.encode("latin-1") + request.head + b"\r\n" + request.body)
            response = http.client.HTTPResponse(server, method=request.method)
            response.begin()
            body = response.read()
            skipped = ("transfer-encoding", "content-length", "connection")
            lines = [f"{name}: {value}" for name, value in response.getheaders() if name.lower() not in skipped]
            status = f"HTTP/1.1 {response.status} {response.reason}"
            size = response.getheader("content-length") if request.method == "HEAD" else len(body)
            head = "\r\n".join([status, *lines, f"Content-Length: {size or 0}"])
            return head.encode("latin-1") + b"\r\n\r\n" + body
