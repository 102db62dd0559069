"""h2_frames.py - HTTP/2 as bytes: frames that nobody sends as easily as those that everybody does."""
import os
import struct

from tap import Raw

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY, ACK = 1, 4, 8, 0x20, 1
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, REFUSED_STREAM, CANCEL, CALM = 0, 1, 3, 5, 7, 8, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    n = len(payload) if length is None else length
    return struct.pack(">I", n)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def integer(n, bits, first=0):
    top = (1 << bits) - 1
    if n < top:
        return bytes([first | n])
    out, n = bytes([first | top]), n - top
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def literal(name, value, first=0):
    """first: 0 without indexing, 0x10 never indexed, 0x40 into the table."""
    return bytes([first]) + integer(len(name), 7) + name + integer(len(value), 7) + value


def hpack(fields):
    return b"".join(literal(n, v) for n, v in fields)


def fields(path=b"/", host=b"ok.example", method=b"GET", scheme=b"http", more=()):
    return [(b":method", method), (b":scheme", scheme), (b":authority", host), (b":path", path), *more]


def headers(stream, list_or_block, end=True, flags=END_HEADERS):
    block = list_or_block if isinstance(list_or_block, bytes) else hpack(list_or_block)
    return frame(HEADERS, flags | (END_STREAM if end else 0), stream, block)


def rst(stream, code=CANCEL):
    return frame(RST, 0, stream, struct.pack(">I", code))


def window(stream, n):
    return frame(WINDOW, 0, stream, struct.pack(">I", n))


def settings(**values):
    numbers = {"table": 1, "push": 2, "streams": 3, "window": 4, "frame": 5, "list": 6}
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", numbers[k], v) for k, v in values.items()))


def frames_of(data):
    """Whole frames: [(type, flags, stream, payload)], and how many bytes they are."""
    out, at = [], 0
    while at + 9 <= len(data):
        n = int.from_bytes(data[at:at + 3], "big")
        if at + 9 + n > len(data):
            break
        out.append((data[at + 3], data[at + 4], int.from_bytes(data[at + 5:at + 9], "big") & 0x7fffffff, data[at + 9:at + 9 + n]))
        at += 9 + n
    return out, at


class H2(Raw):
    """A client of its own; over TLS with a context that offers h2."""

    def __init__(self, port, context=None, name="localhost", start=PREFACE + settings(table=0), host="127.0.0.1"):
        super().__init__(port, context, name, host)
        self.list, self.parsed = [], 0
        self.send(start)

    def frames(self):
        more, used = frames_of(self.got[self.parsed:])
        self.parsed += used
        self.list += more
        return self.list

    def wait(self, done, seconds=10.0):
        seen = 0

        def look(_):
            nonlocal seen
            frames = self.frames()
            new, seen = frames[seen:], len(frames)
            return any(done(f) for f in new)
        self.until(look, seconds)
        return any(done(f) for f in self.frames())

    def alive(self):
        token = os.urandom(8)
        self.send(frame(PING, 0, 0, token))
        return self.wait(lambda f: f[0] == PING and f[1] & ACK and f[3] == token)

    def goaway(self):
        """The code of a GOAWAY, or None."""
        codes = [struct.unpack(">I", f[3][4:8])[0] for f in self.frames() if f[0] == GOAWAY]
        return codes[-1] if codes else None

    def ended_streams(self):
        return {f[2] for f in self.frames() if f[0] in (HEADERS, DATA) and f[1] & END_STREAM or f[0] == RST}

    def answered(self, stream, seconds=10.0):
        """The stream or the connection has ended."""
        return self.wait(lambda f: f[0] == GOAWAY or f[2] == stream and (f[0] == RST or f[0] in (HEADERS, DATA) and f[1] & END_STREAM), seconds) or self.ended

    def status(self, stream):
        """Of an answer whose :status is in HPACK's static table, or a literal; None: there is none."""
        for f in self.frames():
            if f[0] == HEADERS and f[2] == stream:
                b = f[3]
                if 0x20 <= b[0] < 0x40:
                    b = b[1:]
                    while b and 0x20 <= b[0] < 0x40:
                        b = b[1:]
                indexed = {0x88: 200, 0x89: 204, 0x8a: 206, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500}
                if b[0] in indexed:
                    return indexed[b[0]]
                n = b[1] & 0x7f
                text = b[2:2 + n]
                if b[1] & 0x80:
                    text = huffman_digits(text)
                return int(text)
        return None


def huffman_digits(data):
    """Digits in HPACK's Huffman code."""
    codes = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4", "011011": "5", "011100": "6", "011101": "7", "011110": "8", "011111": "9"}
    bits, out = "".join(f"{b:08b}" for b in data), ""
    while bits:
        for n in (5, 6):
            if bits[:n] in codes:
                out, bits = out + codes[bits[:n]], bits[n:]
                break
        else:
            break
    return out
