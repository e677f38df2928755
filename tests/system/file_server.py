"""One file over HTTPS on loopback, as an object storage would serve it, from a server that cuts connections in the middle."""

import re
import socket
import ssl
import subprocess
import threading

from ports import free_port


class FileServer:
    """`cut_after`: bytes of a body that an answer gets to, and then its connection is cut; None: it is not. `ranges`: it knows them."""

    def __init__(self, directory, content, cut_after=None, ranges=True, status=200):
        self.content = content
        self.cut_after = cut_after
        self.ranges = ranges
        self.status = status
        self.requests = []  # (path with query, Range or None, If-Range or None)
        self.certificate = str(directory / "file-server.pem")
        key = str(directory / "file-server.key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
            + ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", self.certificate],
            check=True,
            capture_output=True,
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)
        self.port = free_port()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def address(self, path):
        return f"https://localhost:{self.port}{path}"

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(plain, server_side=True) as connection:
                    self._answer(connection)
            except OSError:  # also what is wrong with TLS: who does not trust us goes
                plain.close()

    def _answer(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(65536)
            if not more:
                return
            head += more
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:] if ":" in line)}
        self.requests.append((lines[0].split()[1], headers.get("range"), headers.get("if-range")))
        if self.status != 200:
            connection.sendall(f"HTTP/1.1 {self.status} No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno".encode())
            return
        first, status = 0, "200 OK"
        wanted = re.fullmatch(r"bytes=(\d+)-", headers.get("range") or "")
        if wanted and self.ranges and headers.get("if-range") == '"the-file"':
            first = int(wanted[1])
            status = f"206 Partial Content\r\nContent-Range: bytes {first}-{len(self.content) - 1}/{len(self.content)}"
        body = self.content[first:]
        connection.sendall(f'HTTP/1.1 {status}\r\nETag: "the-file"\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n'.encode())
        # Without ranges every answer gets one portion further.
        most = self.cut_after if self.ranges or self.cut_after is None else self.cut_after * len(self.requests)
        connection.sendall(body[:most])
