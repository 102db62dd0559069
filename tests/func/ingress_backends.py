"""ingress_backends.py - what stands behind the proxy in its tests: servers that say what they were asked.

Each has a name, so that an answer tells who gave it; what arrived is kept in `seen` as well, for requests whose answer the
client does not get (auth-url, mirror-target).
"""
import base64
import hashlib
import http.server
import json
import socket
import socketserver
import struct
import threading
import time
import urllib.parse

seen = []  # (backend, {"method", "target", "headers": [[name, value]], "body"}), as heads arrive
finished = []  # targets whose whole answer was written


class Echo(http.server.BaseHTTPRequestHandler):
    """The path says what is wanted: /status/404, /sleep/1.5, /bytes/1000 and ?set=Name:Value for headers of the answer.
    Anything else: 200 and the request as JSON."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def read_body(self):
        self.trailers = []
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while line := self.rfile.readline().strip():
            self.trailers.append(line.decode())
        return body

    def answer(self):
        parts = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qsl(parts.query)
        words = parts.path.strip("/").split("/")
        told = {"by": self.server.name, "method": self.command, "target": self.path, "version": self.request_version,
                "headers": [[k, v] for k, v in self.headers.items()], **self.server.more(self)}
        seen.append((self.server.name, told))
        if self.headers.get("Upgrade") == "websocket":
            return self.websocket()
        if words[0] == "deaf":
            time.sleep(3)
        body = self.read_body()
        told["body"] = body.decode(errors="replace")
        told["trailers"] = self.trailers
        status, data = self.server.status, None
        if words[0] == "status":
            status = int(words[1])
        elif words[0] == "sleep":
            time.sleep(float(words[1]))
        elif words[0] == "bytes":
            data = b"x" * int(words[1])
        if data is None:
            data = json.dumps(told).encode()
        self.send_response_only(status)
        self.send_header("X-By", self.server.name)
        for name, value in [pair.split(":", 1) for key, pair in query if key == "set"]:
            self.send_header(name, value)
        if not any(key == "set" and pair.lower().startswith("content-type:") for key, pair in query):
            self.send_header("Content-Type", "application/json")
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(data)
        finished.append(self.path)

    do_GET = do_POST = do_PUT = do_HEAD = do_OPTIONS = do_DELETE = do_PATCH = do_FROB = answer

    def websocket(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response_only(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        while head := self.rfile.read(2):
            length = head[1] & 0x7f
            mask = self.rfile.read(4)
            data = bytes(b ^ mask[i % 4] for i, b in enumerate(self.rfile.read(length)))
            self.wfile.write(bytes([head[0], length]) + data)
        self.close_connection = True


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128

    def __init__(self, name, handler=Echo, status=200, context=None):
        super().__init__(("127.0.0.1", 0), handler)
        self.name, self.status, self.context = name, status, context
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 60}, daemon=True).start()

    def finish_request(self, request, client_address):
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, *_):
        """Connections that the proxy gives up are part of the tests."""

    @staticmethod
    def more(handler):
        """What only this connection knows: the name asked for and the client's certificate."""
        if not hasattr(handler.connection, "getpeercert"):
            return {}
        subject = (handler.connection.getpeercert() or {}).get("subject", ())
        return {"sni": getattr(handler.connection, "asked_name", None), "client": subject[0][0][1] if subject else None,
                "tls": handler.connection.version()}


def remember_name(sock, name, _):
    sock.asked_name = name


# ---- HTTP/2 without TLS, as far as a gRPC server needs it ----

def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """HPACK (RFC 7541 6.2.2): a field that is not indexed, without Huffman codes."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


class Grpc(socketserver.StreamRequestHandler):
    """Echoes each message; then trailers with grpc-status 0. What was asked is not decoded."""

    def handle(self):
        if self.rfile.read(24) != b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
            return
        self.wfile.write(frame(4, 0, 0, b""))
        bodies = {}
        while head := self.rfile.read(9):
            kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
            payload = self.rfile.read(int.from_bytes(head[:3], "big"))
            if kind == 4 and not flags & 1:
                self.wfile.write(frame(4, 1, 0, b""))
            if kind == 6 and not flags & 1:
                self.wfile.write(frame(6, 1, 0, payload))
            if kind == 0:
                bodies[stream] = bodies.get(stream, b"") + payload
            if kind in (0, 1) and flags & 1:
                seen.append((self.server.name, {"stream": stream}))
                self.wfile.write(frame(1, 4, stream, b"\x88" + literal(b"content-type", b"application/grpc")) +
                                 frame(0, 0, stream, bodies.get(stream, b"")) +
                                 frame(1, 5, stream, literal(b"grpc-status", b"0") + literal(b"grpc-message", b"fine")))


# ---- bytes ----

class Bytes(socketserver.BaseRequestHandler):
    """Echoes what comes, preceded by the server's name."""

    def handle(self):
        self.request.sendall(self.server.name.encode() + b":")
        while data := self.request.recv(65536):
            self.request.sendall(data)


class FirstBytes(socketserver.BaseRequestHandler):
    """Keeps how a connection begins, and answers with 204."""

    def handle(self):
        data = b""
        while b"\r\n\r\n" not in data[16:] and (part := self.request.recv(65536)):
            data += part
        seen.append((self.server.name, {"bytes": data}))
        self.request.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


class Udp(threading.Thread):
    def __init__(self, name):
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.name_bytes = name.encode()
        self.start()

    def run(self):
        while True:
            data, who = self.sock.recvfrom(65536)
            self.sock.sendto(self.name_bytes + b":" + data, who)


class Unconnectable:
    """A port whose queue of connections is full: another one waits until it gives up."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(0)
        self.port = self.sock.getsockname()[1]
        self.fill = []
        for _ in range(3):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.port))
            self.fill.append(s)
