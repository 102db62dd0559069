"""Malformed DNS over UDP and TCP. RFC 1035 says what can be answered; what cannot is dropped without a word."""
import socket
import struct

import kit
from kit import DNS, NODE, check, section

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
KUBERNETES = b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\0"


def question(name=KUBERNETES, kind=1, klass=1):
    return name + struct.pack(">HH", kind, klass)


def message(body=None, ident=0x1234, flags=0x0100, counts=(1, 0, 0, 0)):
    return struct.pack(">HHHHHH", ident, flags, *counts) + (question() if body is None else body)


OPT = b"\0" + struct.pack(">HHIH", 41, 4096, 0, 0)
LABEL = b"\x3f" + b"a" * 63
CASES = [  # name, message, rcodes that are right; None: no answer
    ("an answer instead of a question", message(flags=0x8180), None),
    ("no question", message(b"", counts=(0, 0, 0, 0)), FORMERR),
    ("two questions announced, one sent", message(counts=(2, 0, 0, 0)), FORMERR),
    ("two questions", message(question() * 2, counts=(2, 0, 0, 0)), FORMERR),
    ("65,535 questions announced", message(counts=(65535, 0, 0, 0)), FORMERR),
    ("records announced that are not there", message(counts=(1, 65535, 65535, 65535)), FORMERR),
    ("an additional record announced", message(counts=(1, 0, 0, 1)), FORMERR),
    ("junk behind the question", message(question() + b"junk"), FORMERR),
    ("a name without end", message(b"\x03abc"), FORMERR),
    ("a label past the end", message(b"\x3fabc"), FORMERR),
    ("a label of type 0x40", message(b"\x41abc\0\0\x01\0\x01"), FORMERR),
    ("a label of type 0x80", message(b"\x81abc\0\0\x01\0\x01"), FORMERR),
    ("a name of 320 bytes", message(question(LABEL * 5 + b"\0")), FORMERR),
    ("a pointer to itself", message(question(b"\xc0\x0c")), FORMERR),
    ("a pointer to the next pointer and back", message(question(b"\xc0\x0e\xc0\x0c")), FORMERR),
    ("a pointer forwards", message(question(b"\xc0\x20")), FORMERR),
    ("a pointer past the end", message(question(b"\xff\xff")), FORMERR),
    ("a pointer into the header", message(question(b"\xc0\x00")), FORMERR),
    ("a name without type and class", message(KUBERNETES), FORMERR),
    ("half a type", message(KUBERNETES + b"\0"), FORMERR),
    ("an OPT cut short", message(question() + OPT[:-1], counts=(1, 0, 0, 1)), FORMERR),
    ("two OPTs", message(question() + OPT * 2, counts=(1, 0, 0, 2)), FORMERR),
    ("an OPT whose length lies", message(question() + OPT[:-2] + b"\xff\xff", counts=(1, 0, 0, 1)), FORMERR),
    ("opcode 5, update", message(flags=0x2900), NOTIMP),
    ("opcode 4, notify", message(flags=0x2100), NOTIMP),
    ("opcode 15", message(flags=0x7900), NOTIMP),
    ("class CHAOS", message(question(b"\x07version\x04bind\0", 16, 3)), REFUSED),
    ("class ANY of a cluster name", message(question(klass=255)), (NOERROR, REFUSED)),
    ("class 0", message(question(klass=0)), REFUSED),
    ("AXFR", message(question(b"\x07cluster\x05local\0", 252)), (REFUSED, NOTIMP)),
    ("IXFR", message(question(b"\x07cluster\x05local\0", 251)), (REFUSED, NOTIMP)),
    ("type 0", message(question(kind=0)), (NOERROR, FORMERR, NOTIMP)),
    ("type OPT as a question", message(question(kind=41)), REFUSED),
    ("a label of NULs", message(question(b"\x03\0\0\0\x07default\x03svc\x07cluster\x05local\0")), NXDOMAIN),
    ("a label of dots", message(question(b"\x03...\x07default\x03svc\x07cluster\x05local\0")), NXDOMAIN),
    ("bytes past ASCII", message(question(b"\x03\xff\xfe\xfd\x07default\x03svc\x07cluster\x05local\0")), NXDOMAIN),
]


def good(answer):
    return len(answer) > 12 and answer[:2] == b"\x43\x21" and answer[3] & 15 == NOERROR and bytes([10, 96, 0, 1]) in answer


GOOD = message(ident=0x4321)


class Udp:
    """What the server says to a packet; one that is known to be answered goes behind it, so silence is sure."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect((NODE, DNS))
        self.sock.settimeout(kit.DEADLINE)

    def ask(self, packet):
        self.sock.send(packet)
        self.sock.send(GOOD)
        answer = None
        while True:
            try:
                got = self.sock.recv(65536)
            except TimeoutError:
                return "nothing, and nothing to the good question behind it"
            if good(got):
                return answer
            answer = got


def tcp_ask(packet, framed=None):
    """(answer or None, ended)"""
    with kit.Raw(DNS, host=NODE) as r:
        r.send(framed if framed is not None else struct.pack(">H", len(packet)) + packet)
        r.until(lambda got: len(got) >= 2 and len(got) >= 2 + struct.unpack(">H", got[:2])[0], 2.0)
        return r.got[2:] or None, r.ended


def fits(answer, packet, want):
    if want is None:
        return answer is None
    if not isinstance(answer, bytes) or len(answer) < 12:
        return False
    wanted = want if isinstance(want, tuple) else (want,)
    return answer[:2] == packet[:2] and answer[2] & 0x80 and answer[3] & 15 in wanted


def udp():
    section("DNS over UDP")
    u = Udp()
    for name, packet, want in CASES:
        answer = u.ask(packet)
        check(f"DNS: {name}", fits(answer, packet, want), f"want {want}\ngot  {answer}")
    for n in range(12):
        answer = u.ask(GOOD[:n])
        check(f"DNS: the first {n} bytes", answer is None, answer)
    short = [n for n in range(12, len(GOOD)) if not fits(u.ask(message()[:n]), message(), FORMERR)]
    check("DNS: a question cut at every byte", not short, short)
    check("DNS: 9,000 bytes are no question", u.ask(message(question() + b"\0" * 9000)) is None, "")
    check("DNS: 60,000 bytes are no question", u.ask(b"\x12\x34\x01\0" + b"\xff" * 60000) is None, "")
    bad = []
    for i in range(len(GOOD) * 8):
        flipped = bytearray(message())
        flipped[i // 8] ^= 1 << i % 8
        answer = u.ask(bytes(flipped))
        if isinstance(answer, str):
            bad.append(i)
    check("DNS: a question with each bit turned", not bad, bad)


def tcp():
    section("DNS over TCP")
    for name, packet, want in CASES:
        answer, ended = tcp_ask(packet)
        check(f"DNS, TCP: {name}", fits(answer, packet, want) if want is not None else ended and answer is None, f"want {want}\ngot  {answer}, ended {ended}")
    answer, ended = tcp_ask(b"", b"\0\0")
    check("DNS, TCP: a message of no bytes ends the connection", answer is None and ended, answer)
    with kit.Raw(DNS, host=NODE) as r:
        r.send(b"\xff\xff" + b"\0" * 65535)
        r.until(lambda got: len(got) > 14, 2.0)
        check("DNS, TCP: 65,535 zeros", r.ended or r.got[5:6] and r.got[5] & 15 == FORMERR, r.got[:40])
    with kit.Raw(DNS, host=NODE) as r:
        for byte in struct.pack(">H", len(GOOD)) + GOOD:
            r.send(bytes([byte]))
        r.until(lambda got: len(got) > 60)
        check("DNS, TCP: a question byte by byte", good(r.got[2:]), r.got)
    with kit.Raw(DNS, host=NODE) as r:
        r.send((struct.pack(">H", len(GOOD)) + GOOD) * 500)
        r.until(lambda got: got.count(b"\x43\x21") >= 500)
        check("DNS, TCP: 500 questions at once", r.got.count(b"\x43\x21") >= 500, len(r.got))
    held = [kit.Raw(DNS, host=NODE) for _ in range(300)]
    for r in held:
        r.send(b"\0\xff\0")
    check("DNS: beside 300 TCP connections that say half a thing", Udp().ask(b"") is None, "")
    for r in held:
        r.close()


def run():
    udp()
    tcp()
    check("DNS: an ordinary question is answered", Udp().ask(b"\0") is None, "")
    answer, _ = tcp_ask(GOOD)
    check("DNS, TCP: an ordinary question is answered", good(answer or b""), answer)
