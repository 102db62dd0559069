"""HTTP/2 frames that no client sends, to the API server. RFC 9113 names the error; the connection or the stream
ends with it, and the other connections go on."""
import os
import struct

import kit
from kit import API, api_still_answers, check, section

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED = 1, 4, 8
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    n = len(payload) if length is None else length
    return struct.pack(">I", n)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def integer(n, bits):
    top = (1 << bits) - 1
    if n < top:
        return bytes([n])
    out, n = bytes([top]), n - top
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def hpack(fields):
    """Literals without indexing, as they are."""
    return b"".join(b"\0" + integer(len(n), 7) + n + integer(len(v), 7) + v for n, v in fields)


GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/version")]
START = PREFACE + frame(SETTINGS)


def get(stream=1, fields=GET, flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, stream, hpack(fields))


class H2(kit.Raw):
    def __init__(self, start=START):
        super().__init__(API, kit.tls_context(["h2"]))
        self.send(start)

    def frames(self):
        out, at = [], 0
        while at + 9 <= len(self.got):
            n = int.from_bytes(self.got[at:at + 3], "big")
            if at + 9 + n > len(self.got):
                break
            out.append((self.got[at + 3], self.got[at + 4], int.from_bytes(self.got[at + 5:at + 9], "big"), self.got[at + 9:at + 9 + n]))
            at += 9 + n
        return out

    def wait(self, done):
        self.until(lambda _: any(done(f) for f in self.frames()))
        return any(done(f) for f in self.frames())

    def alive(self):
        """Answers a PING: the connection goes on."""
        token = os.urandom(8)
        self.send(frame(PING, 0, 0, token))
        return self.wait(lambda f: f[0] == PING and f[3] == token)


def ends(name, data, start=START):
    """The connection ends: with GOAWAY, or at once."""
    with H2(start) as c:
        c.send(data)
        c.until(lambda _: False)
        check(f"HTTP/2: {name}: the connection ends", c.ended, c.frames()[-3:])


def resets(name, data, stream=1):
    """The stream ends, by RST_STREAM or with a 4xx; the connection goes on, or is told why not."""
    with H2() as c:
        c.send(data)
        over = c.wait(lambda f: f[0] == GOAWAY or f[2] == stream and (f[0] == RST or f[0] in (HEADERS, DATA) and f[1] & END_STREAM))
        check(f"HTTP/2: {name}: the stream ends", over or c.ended, c.frames())


def connections():
    ends("a preface that is none", b"", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + frame(SETTINGS) + b"\0" * 64)
    ends("HTTP/1 after ALPN h2", b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ends("a first frame that is not SETTINGS", get(), PREFACE)
    ends("a frame longer than 16 KiB", frame(DATA, 0, 1, b"x" * 16385))
    ends("a frame that says 16 MiB", frame(HEADERS, END_HEADERS, 1, b"", 0xffffff) + b"\0" * 20000)
    ends("SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, b"\0" * 5))
    ends("SETTINGS on a stream", frame(SETTINGS, 0, 1))
    ends("a window of 2^31", frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31)))
    ends("a frame size of 1", frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 1)))
    ends("a PING of 7 bytes", frame(PING, 0, 0, b"\0" * 7))
    ends("a PING on a stream", frame(PING, 0, 1, b"\0" * 8))
    ends("HEADERS on stream 0", frame(HEADERS, END_HEADERS | END_STREAM, 0, hpack(GET)))
    ends("HEADERS on an even stream", get(2))
    # nghttp2 drops it: it may be late for a stream that has ended.
    with H2() as c:
        c.send(get(5) + get(3))
        check("HTTP/2: a stream below the last is not answered", c.alive() and not any(f[2] == 3 for f in c.frames()), c.frames())
    ends("DATA on stream 0", frame(DATA, 0, 0, b"x"))
    ends("DATA on a stream that never was", frame(DATA, 0, 7, b"x"))
    ends("CONTINUATION without HEADERS", frame(CONTINUATION, END_HEADERS, 1, hpack(GET)))
    ends("another frame within HEADERS", get(1, flags=END_STREAM) + frame(PING, 0, 0, b"\0" * 8))
    ends("PUSH_PROMISE from a client", frame(PUSH, END_HEADERS, 1, struct.pack(">I", 2) + hpack(GET)))
    ends("padding longer than the frame", frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + hpack(GET)))
    ends("HPACK of garbage", frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff" * 50))
    ends("an HPACK index past the table", frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xfe"))
    ends("a window past 2^31", frame(WINDOW, 0, 0, struct.pack(">I", 0x7fffffff)))
    ends("a connection window of 0", frame(WINDOW, 0, 0, struct.pack(">I", 0)))
    ends("RST_STREAM of a stream that never was", frame(RST, 0, 9, struct.pack(">I", 8)))
    ends("50,000 bytes of nothing", b"", b"\0" * 50000)


def streams():
    def with_field(name, value):
        return GET + [(name, value)]
    resets("no :path", get(fields=GET[:3]))
    resets("no :method", get(fields=GET[1:]))
    resets("two :method", get(fields=GET[:1] + GET))
    resets("an unknown pseudo-header", get(fields=[(b":nope", b"x")] + GET))
    resets("a pseudo-header behind others", get(fields=GET[:3] + [(b"a", b"b")] + GET[3:]))
    resets("a name in capitals", get(fields=with_field(b"X-A", b"b")))
    resets("a name with a blank", get(fields=with_field(b"x a", b"b")))
    resets("a value with CR LF", get(fields=with_field(b"x-a", b"b\r\nc: d")))
    resets("a value with a NUL", get(fields=with_field(b"x-a", b"b\0c")))
    resets("Connection", get(fields=with_field(b"connection", b"close")))
    resets("Transfer-Encoding", get(fields=with_field(b"transfer-encoding", b"chunked")))
    resets("a Host that differs from :authority", get(fields=with_field(b"host", b"other")))
    resets("a Content-Length that is too small", get(fields=with_field(b"content-length", b"1"), flags=END_HEADERS) + frame(DATA, END_STREAM, 1, b"xyz"))
    resets("a Content-Length that is too large", get(fields=with_field(b"content-length", b"9"), flags=END_HEADERS) + frame(DATA, END_STREAM, 1, b"xyz"))
    resets("two Content-Length", get(fields=GET + [(b"content-length", b"3"), (b"content-length", b"4")], flags=END_HEADERS) + frame(DATA, END_STREAM, 1, b"xyz"))
    resets("an empty :path", get(fields=GET[:3] + [(b":path", b"")]))
    resets("a :path without a slash", get(fields=GET[:3] + [(b":path", b"version")]))
    resets("a :path with a NUL", get(fields=GET[:3] + [(b":path", b"/a\0b")]))
    resets("129 headers", get(fields=GET + [(b"x-%d" % i, b"y") for i in range(129)]))
    many = hpack(GET + [(b"x-%d" % i, b"y" * 8000) for i in range(10)])
    parts = [many[i:i + 16384] for i in range(0, len(many), 16384)]
    resets("80,000 bytes of headers", frame(HEADERS, END_STREAM, 1, parts[0]) + b"".join(
        frame(CONTINUATION, END_HEADERS if p is parts[-1] else 0, 1, p) for p in parts[1:]))
    resets("a stream's window past 2^31", get(flags=END_HEADERS) + frame(WINDOW, 0, 1, struct.pack(">I", 0x7fffffff)))


def floods():
    with H2() as c:
        c.send(b"".join(get(1 + 2 * i) + frame(RST, 0, 1 + 2 * i, struct.pack(">I", 8)) for i in range(5000)))
        c.until(lambda _: False)
        check("HTTP/2: 5,000 streams opened and reset at once: the connection ends", c.ended and any(f[0] == GOAWAY for f in c.frames()), c.frames()[-3:])
    api_still_answers("HTTP/2: and others are answered")
    with H2() as c:
        head = hpack(GET)
        c.send(frame(HEADERS, END_STREAM, 1, head) + b"".join(frame(CONTINUATION, 0, 1, hpack([(b"x", b"y" * 16000)])) for _ in range(500)))
        c.until(lambda _: False)
        check("HTTP/2: a head that does not end: the connection ends", c.ended, c.frames()[-3:])
    with H2() as c:
        c.send(frame(PING, 0, 0, b"\0" * 8) * 20000)
        check("HTTP/2: 20,000 PINGs: answered, or the connection ends", c.alive() or c.ended, c.frames()[-3:])
    with H2() as c:
        c.send(frame(SETTINGS) * 20000)
        check("HTTP/2: 20,000 SETTINGS: answered, or the connection ends", c.alive() or c.ended, c.frames()[-3:])
    with H2() as c:
        c.send(b"".join(get(1 + 2 * i, flags=END_HEADERS) for i in range(1500)))
        refused = c.wait(lambda f: f[0] == RST and f[3] == struct.pack(">I", 7) or f[0] == GOAWAY)
        check("HTTP/2: 1,500 open streams: those past 1,000 are refused", refused, c.frames()[-3:])
    with H2() as c:
        c.send(get(flags=0) + b"")  # a head without its end, left open
        with H2() as other:
            other.send(get())
            check("HTTP/2: beside a head without END_HEADERS", other.wait(lambda f: f[0] == DATA and b"gitVersion" in f[3]), other.frames())
    with H2() as c:
        c.send(get(fields=[(b":method", b"POST")] + GET[1:3] + [(b":path", b"/api/v1/namespaces/default/configmaps")], flags=END_HEADERS) + frame(DATA, 0, 1, b"{") )
        c.send(frame(RST, 0, 1, struct.pack(">I", 8)))
        check("HTTP/2: a body given up: the connection goes on", c.alive(), c.frames())
        c.send(get(3))
        check("HTTP/2: and answers", c.wait(lambda f: f[0] == DATA and f[2] == 3), c.frames())


def run():
    section("API server: HTTP/2")
    connections()
    streams()
    floods()
    api_still_answers()
