"""dns_hostile.py BUILD-DIR - malformed and malicious packets against the DNS role, over UDP, TCP and TLS. (root) Prints TAP.

Each gets the documented answer or silence; afterwards the role answers as before, with the memory and descriptors it had.
"""
import os
import random
import shutil
import socket
import struct
import sys
import tempfile
import threading
import time

import dns_kit
from dns_kit import (A, AAAA, ANY, AXFR, BADVERS, FORMERR, IXFR, NOERROR, NOTIMP, NXDOMAIN, OPT, REFUSED, SRV, TSIG, TXT, WEB, Answer,
                     Ends, Role, Upstream, framed, frames, message, name, opt, option, question, record, reply)
from tap import DEADLINE, Raw, check, finish, section, soon

dns_kit.isolate()
build = sys.argv[1]
LABEL = b"\x3f" + b"a" * 63
EDNS = (1, 0, 0, 1)
PLAIN, TLS, COOKIES, RRL, RATE = 53, 853, 54, 55, 56


def edns(*args, **kw):
    return message(question() + opt(*args, **kw), counts=EDNS)


def no_opt(a):
    return a.opt is None


def with_opt(a):
    """Version 0, no flags but DO, no options, and a size that paths take."""
    return a.opt and a.opt[3] >> 16 & 0xff == 0 and a.opt[3] & 0x7fff == 0 and a.opt[2] == 1232 and not a.opt[4]


SILENCE = None
# name, message, rcode (or those that are right; None: silence), what else has to hold
CASES = [
    ("11 bytes", message()[:11], SILENCE),
    ("an answer", message(flags=0x8180), SILENCE),
    ("an answer without a question", message(b"", flags=0x8000, counts=(0, 0, 0, 0)), SILENCE),
    ("no question", message(b"", counts=(0, 0, 0, 0)), FORMERR),
    ("a header that announces 65,535 of everything", message(b"", counts=(65535,) * 4), FORMERR),
    ("two questions", message(question() * 2, counts=(2, 0, 0, 0)), FORMERR),
    ("65,535 questions announced, 20 sent", message(question() * 20, counts=(65535, 0, 0, 0)), FORMERR),
    ("no question, an OPT", message(opt(), counts=(0, 0, 0, 1)), FORMERR),
    ("a question too many", message(question() * 2), FORMERR),
    ("an answer announced", message(counts=(1, 1, 0, 0)), FORMERR),
    ("65,535 records announced, one sent", message(question() + opt(), counts=(1, 65535, 65535, 65535)), FORMERR),
    ("a pointer to itself", message(question(b"\xc0\x0c")), FORMERR),
    ("two pointers to each other", message(question(b"\xc0\x0e\xc0\x0c")), FORMERR),
    ("a name that leads into itself", message(question(b"\x01a\xc0\x0c")), FORMERR),
    ("a pointer into the header", message(question(b"\xc0\0")), FORMERR),
    ("a record whose owner leads into itself", message(question() + b"\x01a" + struct.pack(">H", 0xc000 | 12 + len(question())) +
                                                       opt()[1:], counts=EDNS), FORMERR),
    ("labels of type 01 and 10", message(question(b"\x41a\0")), FORMERR),
    ("a bit-string label", message(question(b"\x41\x01\x80\0")), FORMERR),
    ("a name of 256 bytes", message(question(LABEL * 3 + b"\x3e" + b"a" * 62 + b"\0")), FORMERR),
    ("a name of 255 bytes", message(question(LABEL * 3 + b"\x3d" + b"a" * 61 + b"\0")), NXDOMAIN),
    ("127 labels", message(question(b"\x01a" * 127 + b"\0")), NXDOMAIN),
    ("128 labels", message(question(b"\x01a" * 128 + b"\0")), FORMERR),
    ("a question without a type", message(WEB), FORMERR),
    ("bytes behind the question", message(question() + b"\0"), FORMERR),
    # EDNS: RFC 6891, and what dnsflagday.net looked for
    ("EDNS", edns(), NOERROR, with_opt),
    ("no EDNS", message(), NOERROR, no_opt),
    ("EDNS version 1", edns(version=1), BADVERS, lambda a: with_opt(a) and not a.counts[1]),
    ("EDNS version 255 with an option and flags", edns(version=255, flags=0x7fff, options=option(100)), BADVERS, with_opt),
    ("an unknown option", edns(options=option(100, b"x" * 40)), NOERROR, with_opt),
    ("2,000 bytes of options", edns(options=option(65001, b"x" * 100) * 13), NOERROR, with_opt),
    ("unknown flags", edns(flags=0x7fff), NOERROR, with_opt),
    ("DO", edns(flags=0x8000), NOERROR, lambda a: a.opt and a.opt[3] == 0x8000),
    ("an rcode in a question's OPT", edns(rcode=1), NOERROR, with_opt),
    ("a size of 0", edns(size=0), NOERROR, with_opt),
    ("a size of 65,535", edns(size=65535), NOERROR, with_opt),
    ("client subnet", edns(options=option(8, b"\0\1\x18\0\xc0\0\2")), NOERROR, with_opt),
    ("a cookie of 7 bytes, where there are none", edns(options=option(10, b"1234567")), NOERROR, with_opt),
    ("TCP keepalive and padding", edns(options=option(11) + option(12, b"\0" * 100)), NOERROR, with_opt),
    ("an option whose length lies", edns(options=b"\0\x0a\0\xff1234"), FORMERR),
    ("half an option", edns(options=b"\0\x0a\0"), FORMERR),
    ("an OPT cut short", message(question() + opt()[:-1], counts=EDNS), FORMERR),
    ("an OPT longer than the message", message(question() + opt()[:-2] + b"\xff\xff", counts=EDNS), FORMERR),
    ("an OPT of some name", message(question() + opt(owner=b"\x01a\0"), counts=EDNS), FORMERR),
    ("two OPTs", message(question() + opt() * 2, counts=(1, 0, 0, 2)), FORMERR),
    ("two OPTs, one of version 1", message(question() + opt(version=1) + opt(), counts=(1, 0, 0, 2)), FORMERR),
    ("an OPT in the answer section", message(question() + opt(), counts=(1, 1, 0, 0)), (NOERROR, FORMERR), no_opt),
    ("an OPT behind other records", message(question() + record() * 3 + opt(), counts=(1, 0, 0, 4)), NOERROR, with_opt),
    ("an OPT in front of a signature", message(question() + opt() + record(TSIG, b"\0" * 20, 0, b"\x01k\0", 255), counts=(1, 0, 0, 2)),
     NOERROR, with_opt),
    # opcodes, classes, types
    *((f"opcode {code}", message(flags=code << 11), NOTIMP) for code in range(1, 16)),
    ("an update", message(question("cluster.local", 6) + record(), flags=5 << 11, counts=(1, 0, 1, 0)), NOTIMP),
    ("a notification", message(question("cluster.local", 6) + record(), flags=0x2400, counts=(1, 1, 0, 0)), NOTIMP),
    ("every flag of a question", message(flags=0x07ff), NOERROR),
    *((f"class {c}", message(question(klass=c)), REFUSED) for c in (0, 3, 4, 254, 255, 65535)),
    ("version.bind", message(question("version.bind", TXT, 3)), REFUSED),
    ("ANY", message(question(kind=ANY)), NOERROR, lambda a: len(a.data) < 200),
    ("ANY of what is not there", message(question("no.default.svc.cluster.local", ANY)), NXDOMAIN),
    *((f"transfer, type {t}, of {z}", message(question(z, t)), REFUSED) for t in (AXFR, IXFR) for z in ("cluster.local", "example.com", ".")),
    ("type OPT", message(question(kind=OPT)), REFUSED),
    *((f"type {t}", message(question(kind=t)), NOERROR, lambda a: not a.counts[1]) for t in (0, 3, 249, TSIG, 253, 254, 65280, 65535)),
    # names
    ("a label of NULs", message(question(b"\x03\0\0\0" + WEB[4:])), NXDOMAIN),
    ("NUL behind a name that is there", message(question(b"\x04web\0" + WEB[4:])), NXDOMAIN),
    ("dots within a label", message(question(b"\x0bweb.default" + name("svc.cluster.local"))), NXDOMAIN),
    ("a label of dots", message(question(b"\x03..." + WEB[4:])), NXDOMAIN),
    ("8-bit labels", message(question(b"\x04\xff\xfe\x80\xc0" + WEB[4:])), NXDOMAIN),
    ("a label that looks like a pointer's bytes", message(question(b"\x02\xc0\x0c" + WEB[4:])), NXDOMAIN),
    ("line ends and escapes", message(question(b"\x06\r\n\\\"\x1b%" + WEB[4:])), NXDOMAIN),
    ("letters of both cases", message(question(b"\x03wEb\x07DeFAULt\x03SvC\x07cLUSTEr\x05lOCAl\0")), NOERROR,
     lambda a: a.question.startswith(b"\x03wEb\x07DeF")),
    ("letters beside the alphabet's range", message(question(b"\x03we\x42" + WEB[4:])), NOERROR),
    ("what only looks the same 0x20 apart", message(question(b"\x04web@" + WEB[4:])), NXDOMAIN),
]


def fits(answer, packet, case):
    """What is wrong with it; empty: nothing."""
    want = case[2]
    if want is SILENCE or answer is None:
        return "" if answer is want is None else f"want {want}\ngot  {answer}"
    try:
        a = Answer(answer)
    except ValueError as e:
        return str(e)
    right = (a.rcode in want if isinstance(want, tuple) else a.rcode == want) and a.ident == 0x1234 and a.flags & 0x8000
    right = right and (not a.counts[0] or packet[12:].startswith(a.question)) and (len(case) < 4 or case[3](a))
    # what is not understood is not made larger
    right = right and (a.rcode in (NOERROR, NXDOMAIN) or len(answer) <= len(packet) + 11)
    return "" if right else f"want {want}\ngot  {a.rcode} {answer}"


GOOD = message(ident=0x4321)


class Udp:
    """One known to be answered goes behind each packet, from the same port to the same worker, so that silence is sure."""

    def __init__(self, source="127.0.0.1"):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((source, 0))
        self.sock.connect(("127.0.0.1" if source.startswith("127") else "10.99.0.1", PLAIN))
        self.sock.settimeout(DEADLINE)

    def ask(self, packet):
        self.sock.send(packet)
        self.sock.send(GOOD)
        got = []
        while not got or got[-1][:2] != GOOD[:2]:
            got.append(self.sock.recv(65536))
        if len(got) == 1 and fits_late(packet):  # it had to wait for an upstream
            got.append(self.sock.recv(65536))
        return next((g for g in got if g[:2] != GOOD[:2]), None)


def fits_late(packet):
    return any(packet == c[1] and c[2] is not SILENCE for c in CASES)


def stream(port, packet):
    """(answer, ended) to one message over TCP or TLS; the good one behind it tells that there is none."""
    with Raw(port, dns_kit.tls_context() if port == TLS else None) as r:
        r.send(framed(packet) + framed(GOOD))
        r.until(lambda got: len(frames(got)) >= 2, 3.0)
        return next((f for f in frames(r.got) if f[:2] != GOOD[:2]), None), r.ended


def packets():
    section("malformed packets")
    u = Udp()
    for case in CASES:
        wrong = fits(u.ask(case[1]), case[1], case)
        check(f"UDP: {case[0]}", not wrong, wrong)
    for port, text in ((PLAIN, "TCP"), (TLS, "TLS")):
        for case in CASES:
            answer, ended = stream(port, case[1])
            wrong = fits(answer, case[1], case) if case[2] is not SILENCE else "" if answer is None and ended else f"{answer}, ended {ended}"
            check(f"{text}: {case[0]}", not wrong, wrong)


def random_packets():
    rng = random.Random(5)
    u = Udp()
    wrong = []
    for _ in range(3000):
        packet = bytearray(rng.choice(CASES)[1])
        for _ in range(rng.randrange(1, 6)):
            if packet:
                packet[rng.randrange(len(packet))] = rng.randrange(256)
        packet[:2] = b"\x12\x34"
        u.sock.send(bytes(packet[:rng.choice((len(packet), len(packet), rng.randrange(2, 600)))]))
        if rng.randrange(20) == 0:
            u.sock.send(GOOD)
            while (got := u.sock.recv(65536))[:2] != GOOD[:2]:
                try:
                    if not Answer(got).flags & 0x8000 or len(got) > 1232:
                        wrong.append(got)
                except ValueError:
                    wrong.append(got)
    check("3,000 packets with bytes changed: answers are well-formed and small", not wrong, wrong[:3])
    u = Udp()
    for size in (1501, 9000, 65000):
        answer = u.ask(message(question() + b"\0" * (size - 47)))
        check(f"a packet of {size} bytes is no question", answer is None, answer)


def amplification():
    section("amplification, reflection")
    u = Udp()
    for kind in (A, SRV, ANY, TXT, AAAA):
        for size in (None, 0, 512, 1232, 4096, 65535):
            body = question("big.default.svc.cluster.local", kind) + (opt(size) if size is not None else b"")
            u.sock.send(message(body, counts=(1, 0, 0, int(size is not None))))
            got = u.sock.recv(65536)
            limit = 512 if size in (None, 0, 512) else 1232
            cut = kind in (A, SRV)
            check(f"type {kind} of 1,000 endpoints, {size} bytes offered: {len(got)} at most {limit}",
                  len(got) <= limit and Answer(got).truncated == cut and (cut or len(got) < 200), got[:60])
    # Under false addresses: our own, so that an answer that is answered would go round for ever.
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def forge(source, sport, packet, to="127.0.0.1"):
        udp = struct.pack(">HHHH", sport, PLAIN, 8 + len(packet), 0) + packet
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(to))
        raw.sendto(ip + udp, (to, 0))

    def asked():
        return role.metric("coredns_dns_requests_total")

    before = asked()
    for packet in (GOOD, message(b"", counts=(0, 0, 0, 0)), message(flags=0x2800), edns(version=9), message(flags=0x8180), message(flags=0x8182)):
        for _ in range(50):
            forge("127.0.0.1", PLAIN, packet)
    role.good()
    after = asked()
    soon("our own address and port as the sender: nothing goes round", lambda: role.good() and asked() - after < 100)
    check("what is no answer is counted once", asked() - before < 4 * 50 + 120, f"{before} {asked()}")
    for sport in (0, 7, 19, 53, 65535):
        for source in ("127.0.0.1", "10.99.7.7", "127.255.255.255", "0.0.0.0", "224.0.0.1", "255.255.255.255"):
            forge(source, sport, GOOD)
    check("odd ports and addresses of senders", role.good())
    # The same id for many questions at once, each from its own port: each gets its own answer.
    socks = [Udp() for _ in range(100)]
    for i, s in enumerate(socks):
        s.sock.send(message(question(f"n{i}.example.com")))
    wrong = [i for i, s in enumerate(socks) if f"n{i}".encode() not in s.sock.recv(65536)]
    check("one id for 100 questions", not wrong, wrong)
    for i in range(100):  # and from one port
        socks[0].sock.send(message(question(f"m{i}.example.com")))
    names = {Answer(socks[0].sock.recv(65536)).question for _ in range(100)}
    check("one id for 100 questions from one port", len(names) == 100, len(names))
    sources = [f"10.99.{i % 250}.{i // 250 + 2}" for i in range(500)]
    bad = [s for s in sources if Udp(s).ask(message()[:12]) is None]
    check("500 source addresses", not bad, bad[:5])


def refusals():
    section("streams that lie")
    for port, text in ((PLAIN, "TCP"), (TLS, "TLS")):
        tls = dns_kit.tls_context() if port == TLS else None
        for what, data in (("a length of 0", b"\0\0"), ("a length of 5", b"\0\5abcde"), ("11 bytes", framed(message()[:11])),
                           ("an answer", framed(message(flags=0x8180)))):
            with Raw(port, tls) as r:
                r.send(data)
                r.until(lambda got: False, 1.0)
                check(f"{text}: {what} ends the connection", r.ended and not r.got, r.got)
        with Raw(port, tls) as r:
            r.send(framed(b"\xff" * 65535))
            r.until(lambda got: False, 1.0)
            check(f"{text}: 65,535 bytes of ones", r.ended and not r.got, r.got[:20])
        with Raw(port, tls) as r:
            r.send(framed(message(question() + record(TXT, b"\0" * 65000), counts=(1, 0, 0, 1))))
            r.until(lambda got: frames(got))
            check(f"{text}: a question of 65,000 bytes", frames(r.got) and Answer(frames(r.got)[0]).rcode == NOERROR, r.got[:40])
        with Raw(port, tls) as r:
            for byte in framed(GOOD):
                r.send(bytes([byte]))
            r.until(lambda got: frames(got))
            check(f"{text}: byte by byte", frames(r.got) and Answer(frames(r.got)[0]).rcode == NOERROR, r.got)
        with Raw(port, tls) as r:
            wanted = set(range(1000))
            r.send(b"".join(framed(message(ident=i)) for i in wanted))
            r.until(lambda got: len(frames(got)) >= 1000)
            check(f"{text}: 1,000 questions in one write", {Answer(f).ident for f in frames(r.got)} == wanted, len(frames(r.got)))
        with Raw(port, tls) as r:
            r.send(b"".join(framed(message(question(f"p{i}.example.com"), ident=i)) for i in wanted))
            r.until(lambda got: len(frames(got)) >= 1000)
            check(f"{text}: 1,000 that an upstream answers", {Answer(f).ident for f in frames(r.got)} == wanted, len(frames(r.got)))
    with Raw(PLAIN) as r:
        r.send(b"".join(framed(message(question(f"slow{i}.example.com"), ident=i)) for i in range(130)))
        r.sock.shutdown(socket.SHUT_WR)
        r.until(lambda got: False, DEADLINE + 8)
        check("TCP: 130 slow questions, then half-closed: all are answered, then it ends",
              r.ended and len(frames(r.got)) == 130, (r.ended, len(frames(r.got))))
    for i in range(100):
        r = Raw(PLAIN)
        r.send(framed(message(question(f"slow-rst{i}.example.com"))) * (i % 5) + framed(GOOD)[:i % 30])
        r.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        r.close()
    check("TCP: 100 connections reset in the middle", role.good())
    with Raw(TLS) as r:
        r.send(framed(GOOD))
        r.until(lambda got: False, 3.0)
        check("853: plain DNS is no handshake", r.ended and not frames(r.got) or r.got[:1] == b"\x15", r.got)
    with Raw(PLAIN) as r:
        r.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 600)
        r.until(lambda got: False, 3.5)
        check("53: a TLS handshake is no question", r.ended or not frames(r.got), r.got)
    rng = random.Random(6)
    for i in range(200):
        r = Raw(TLS)
        head = (b"", b"\x16\x03\x01\xff\xff", b"\x16\x03\x01\x00\x30\x01\x00\x00\x2c\x03\x03", b"\x17\x03\x03\x40\x00", b"GET / HTTP/1.1\r\n")[i % 5]
        r.send(head + rng.randbytes(rng.randrange(200)))
        r.close()
    check("853: 200 times garbage", stream(TLS, message())[0] is not None)


def connections():
    section("many connections")
    fds = role.fds()
    held = []
    for i in range(1000):  # all of one address
        try:
            held.append(Raw(PLAIN))
            held[-1].send(framed(GOOD)[:i % 20])
        except OSError:
            pass
    soon("1,000 of one address: at most 200 for each worker are kept", lambda: role.fds() <= fds + 402)
    check("another address is answered over TCP", len(ask_from("10.99.3.3")) > 40)
    for r in held:
        r.close()
    soon("then all are gone", lambda: role.fds() <= fds)
    held = []
    for i in range(2000):
        s = socket.socket()
        s.bind((f"10.99.{i // 100}.{i % 100 + 2}", 0))
        s.connect(("10.99.0.1", PLAIN if i % 4 else TLS))
        s.send(b"\0")
        held.append(s)
    check("beside 2,000 connections of 2,000 addresses UDP is answered", role.good())
    check("and TCP", len(ask_from("10.99.200.1")) > 40)
    check("and a first one's place", role.fds() <= fds + 4 * 1000 + 10, role.fds())
    for s in held:
        s.close()
    soon("then all are gone, too", lambda: role.fds() <= fds)


def ask_from(source, port=PLAIN):
    with socket.socket() as s:
        s.settimeout(DEADLINE)
        s.bind((source, 0))
        s.connect(("10.99.0.1", port))
        s.send(framed(GOOD))
        return s.recv(4096)


def burst(port, source, n, body=GOOD):
    """Answers to n equal questions at once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((source, 0))
        s.connect(("10.99.0.1", port))
        s.settimeout(0.3)
        for i in range(n):
            s.send(body)
            if i % 50 == 49:
                time.sleep(0.002)
        got = []
        try:
            while True:
                got.append(Answer(s.recv(4096)))
        except TimeoutError:
            return got


def guards():
    section("cookies, rate limits")

    def cookie(value, source="10.99.40.1"):
        body = message(question() + opt(options=option(10, value)), counts=EDNS)
        a = (burst(COOKIES, source, 1, body) or [None])[0]
        found = a and a.opt and a.opt[4][:2] == b"\0\x0a" and a.opt[4][4:4 + a.opt[4][3]]
        return a and a.rcode, found, a and len(a.data) - len(body)
    BADCOOKIE = 23
    a = burst(COOKIES, "10.99.40.1", 1)[0]
    check("no EDNS, so no cookie: sent to TCP", a.truncated and not a.counts[1], a.data)
    check("which answers", len(ask_from("10.99.40.1", COOKIES)) > 40)
    wrong = [n for n in (*range(8), *range(9, 16), 41, 100) if cookie(b"x" * n)[0] != FORMERR]
    check("cookies of lengths that there are not", not wrong, wrong)
    rcode, full, more = cookie(b"clientck")
    check("a client's cookie gets a server's", rcode == BADCOOKIE and full and full[:8] == b"clientck" and len(full) == 24 and more <= 20, (rcode, full, more))
    check("that is good", cookie(full)[0] == NOERROR)
    check("but only from the same address", cookie(full, "10.99.40.2")[0] == BADCOOKIE)
    check("with the same client's half", cookie(b"clientcl" + full[8:])[0] == BADCOOKIE)
    wrong = [i for i in range(8, 24) if cookie(full[:i] + bytes([full[i] ^ 1]) + full[i + 1:])[0] != BADCOOKIE]
    check("and every byte as it was", not wrong, wrong)
    old = struct.pack(">I", struct.unpack(">I", full[12:16])[0] - 7200)
    check("not made older", cookie(full[:12] + old + full[16:])[0] == BADCOOKIE)

    got = burst(RRL, "10.99.50.1", 400)
    whole = [a for a in got if a.counts[1]]
    check(f"400 equal questions: {len(whole)} answers, {len(got) - len(whole)} sent to TCP", len(whole) <= 15 and 100 < len(got) - len(whole) <= 200 and
          all(a.truncated for a in got if not a.counts[1]), len(got))
    check("their network is limited, not another", not burst(RRL, "10.99.50.9", 1, message(ident=1))[0:1] or
          burst(RRL, "10.99.51.1", 1)[0].counts[1], "")
    check("over TCP nobody is", len(ask_from("10.99.50.1", RRL)) > 40)
    random_names = [burst(RRL, "10.99.52.1", 1, message(question(f"x{i}.default.svc.cluster.local"))) for i in range(3)]
    check("a few denials come through", all(r and r[0].rcode == NXDOMAIN for r in random_names), random_names)
    got = burst(RATE, "10.99.60.1", 400)
    check(f"400 questions of one address with 20 at once: {len(got)}", 20 <= len(got) <= 40, len(got))
    check("another address is answered", len(burst(RATE, "10.99.60.2", 1)) == 1)


class Slow:
    """Connections that keep the role waiting; started first, looked at last."""

    def __init__(self):
        def begin(port, data=b"", tls=False):
            r = Raw(port, dns_kit.tls_context() if tls else None, host="10.99.0.1")
            r.send(data)
            return Ends(r.sock)
        self.rows = [  # name, connection, between which seconds it must end
            ("TCP: says nothing", begin(PLAIN), 9, 13),
            ("TCP: asks once", begin(PLAIN, framed(GOOD)), 9, 13),
            ("TCP: half a length", begin(PLAIN, b"\0"), 1.5, 4),
            ("TCP: half a question", begin(PLAIN, framed(GOOD)[:30]), 1.5, 4),
            ("TCP: a question, and half of one", begin(PLAIN, framed(GOOD) + framed(GOOD)[:30]), 1.5, 4),
            ("TLS: no handshake", begin(TLS), 1.5, 13),
            ("TLS: half a handshake", begin(TLS, b"\x16\x03\x01\x02\x00\x01\x00"), 1.5, 13),
            ("TLS: says nothing", begin(TLS, tls=True), 9, 13),
            ("TLS: half a question", begin(TLS, framed(GOOD)[:30], tls=True), 1.5, 4),
            ("TCP: a byte every half second", self.drip(), 1.5, 4),
        ]
        # It asks for 80 MB and reads nothing.
        self.deaf = Raw(PLAIN, host="10.99.0.1")
        self.deaf.sock.settimeout(0.5)
        big = framed(message(question("big.default.svc.cluster.local")))
        self.deaf.send(big * 5000)
        self.heard = time.monotonic()

    def drip(self):
        r = Raw(PLAIN, host="10.99.0.1")
        e = Ends(r.sock)

        def run():
            for byte in framed(GOOD):
                time.sleep(0.5)
                try:
                    r.sock.send(bytes([byte]))
                except OSError:
                    return
        threading.Thread(target=run, daemon=True).start()
        return e

    def look(self):
        section("slow connections")
        for what, e, low, high in self.rows:
            while e.after is None and time.monotonic() < e.start + high + 1:
                time.sleep(0.05)
            check(f"{what}: ended after {low} to {high} s", e.after is not None and low <= e.after <= high, e.after)


def answer(query, client, tcp):
    known = reply(query, record(ttl=300), counts=(1, 0, 0))
    if b"example" not in query.lower():
        return reply(query, rcode=NXDOMAIN)
    return [2.5, known] if b"slow" in query.lower() else known


upstream = Upstream(5399, answer)
CHAIN = """
	kubernetes cluster.local in-addr.arpa ip6.arpa {
		pods insecure
		ttl 30
		fallthrough in-addr.arpa ip6.arpa
	}
	forward . 127.0.0.1:5399
	cache 30
"""
certs = tempfile.mkdtemp(prefix="portico-dns-certs-")
os.chmod(certs, 0o755)
dns_kit.certificate(certs)
COREFILE = f""".:53 {{{CHAIN}}}
tls://.:853 {{
	tls {certs}/cert.pem {certs}/key.pem{CHAIN}}}
.:54 {{
	cookies {{
		require
	}}{CHAIN}}}
.:55 {{
	rrl {{
		responses-per-second 5
		window 2
	}}{CHAIN}}}
.:56 {{
	ratelimit 50 {{
		burst 20
	}}{CHAIN}}}
"""
role = Role(build, COREFILE, dns_kit.CLUSTER + dns_kit.big_slice())
try:
    stream(TLS, GOOD)
    stream(PLAIN, GOOD)
    fds, rss = role.fds(), role.rss_kb()
    slow = Slow()
    packets()
    role.back("malformed packets", fds + 12, rss)
    random_packets()
    amplification()
    guards()
    role.back("amplification", fds + 12, rss)
    slow.look()
    check("who does not read holds little memory", dns_kit.SANITIZED or role.rss_kb() < rss + 6144, f"before {rss} kB, now {role.rss_kb()}")
    slow.deaf.close()
    refusals()
    connections()
    role.back("many connections", fds, rss)
finally:
    role.end()
    shutil.rmtree(certs)
finish()
