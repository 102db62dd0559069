"""dns_upstreams.py BUILD-DIR - the DNS role before upstreams that lie, hang, die, and are flooded. (root) Prints TAP."""
import math
import random
import select
import socket
import struct
import sys
import threading
import time

import dns_kit
from dns_kit import (A, CNAME, NOERROR, NS, NXDOMAIN, REFUSED, SERVFAIL, TXT, Answer, Role, Upstream, framed, message, name, question,
                     record, reply, skip_name, soa)
from tap import check, finish, section, soon

dns_kit.isolate()
build = sys.argv[1]
TRUE, FORGED = b"\xc0\0\2\7", b"\xcb\0\x71\x42"
POLITE, SILENT, DEAD, LIAR, SLOW, MORTAL = range(6001, 6007)
lock = threading.Lock()
queries = []  # (bytes, client, over TCP) that POLITE got
elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
elsewhere.bind(("127.0.0.1", 0))
other_ip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
other_ip.bind(("10.99.0.1", POLITE))


def true(query, ttl=60):
    return reply(query, record(rdata=TRUE, ttl=ttl), counts=(1, 0, 0))


def forged(query, **kw):
    return reply(query, record(rdata=FORGED), counts=(1, 0, 0), **kw)


def other_case(query):
    end = skip_name(query, 12)
    return forged(query, ask=query[12:end].swapcase() + query[end:end + 4])


def from_elsewhere(query, client, sock):
    sock.sendto(forged(query), client)
    return []


def wrong_ids(query, n):
    right = struct.unpack(">H", query[:2])[0]
    return [forged(query, ident=i) for i in random.sample([i for i in range(65536) if i != right], n)]


# what comes in front of the true answer
SPOOFS = {
    b"wrong-id": lambda q, c: wrong_ids(q, 3),
    b"next-id": lambda q, c: [forged(q, ident=(struct.unpack(">H", q[:2])[0] + i) & 0xffff) for i in (1, 65535)],
    b"other-name": lambda q, c: [forged(q, ask=question("other.spoof.test"))],
    b"other-type": lambda q, c: [forged(q, ask=q[12:skip_name(q, 12)] + b"\0\x1c\0\1")],
    b"other-class": lambda q, c: [forged(q, ask=q[12:skip_name(q, 12)] + b"\0\1\0\3")],
    b"other-case": lambda q, c: [other_case(q)],
    b"lower-case": lambda q, c: [forged(q, ask=q[12:skip_name(q, 12) + 4].lower())] if q != q.lower() else [],
    b"a-question": lambda q, c: [forged(q, flags=0x0100)],
    b"opcode": lambda q, c: [forged(q, flags=0xa180)],
    b"no-question": lambda q, c: [q[:2] + b"\x81\x80\0\0\0\1\0\0\0\0" + record(rdata=FORGED, owner=name("no-question.spoof.test"))],
    b"two-questions": lambda q, c: [q[:2] + b"\x81\x80\0\2\0\1\0\0\0\0" + q[12:skip_name(q, 12) + 4] * 2 + record(rdata=FORGED)],
    b"cut-short": lambda q, c: [forged(q)[:-2]],
    b"junk-behind": lambda q, c: [forged(q) + b"junk"],
    b"empty": lambda q, c: [b"", b"\0", q[:2], q[:11]],
    b"other-port": lambda q, c: from_elsewhere(q, c, elsewhere),
    b"other-address": lambda q, c: from_elsewhere(q, c, other_ip),
    b"flood": lambda q, c: wrong_ids(q, 3000),
}
# whole answers by first label; "victim" is what poison is meant for
ANSWERS = {
    b"glue": lambda q: reply(q, record(rdata=TRUE) + record(NS, name("ns.victim.test"), 3600, name("test")) +
                             record(NS, name("ns.victim.test"), 3600, b"\0") + record(A, FORGED, 3600, name("ns.victim.test")) +
                             record(A, FORGED, 3600, name("victim.test")), counts=(1, 2, 2)),
    b"extra": lambda q: reply(q, record(A, FORGED, 3600, name("victim.test")) + record(rdata=TRUE), counts=(2, 0, 0)),
    b"alias": lambda q: reply(q, record(CNAME, name("victim.test")) + record(A, FORGED, 3600, name("victim.test")), counts=(2, 0, 0)),
    b"about-else": lambda q: reply(q, record(A, FORGED, 3600, name("victim.test")), counts=(1, 0, 0)),
    b"deny-parent": lambda q: reply(q, soa("test"), NXDOMAIN, (0, 1, 0)),
    b"ttl0": lambda q: true(q, 0),
    b"ttl-min": lambda q: true(q, 1 << 31),
    b"ttl-max": lambda q: true(q, (1 << 32) - 1),
    b"ttl-long": lambda q: true(q, (1 << 31) - 1),
    b"alias-loop": lambda q: reply(q, record(CNAME, b"\xc0\x0c"), counts=(1, 0, 0)),
    b"alias-round": lambda q: reply(q, record(CNAME, name("x.test")) + record(CNAME, b"\xc0\x0c", 60, name("x.test")), counts=(2, 0, 0)),
    b"alias-long": lambda q: reply(q, record(CNAME, name("c0.test")) + b"".join(
        record(CNAME, name(f"c{i + 1}.test"), 60, name(f"c{i}.test")) for i in range(400)), counts=(401, 0, 0)),
    b"pointers": lambda q: reply(q, record(CNAME, b"\xc0\x0c") + b"\xc0\x0c" * 20, counts=(1, 65535, 0)),
    b"large-udp": lambda q: reply(q, b"".join(record(TXT, b"\xff" + b"t" * 255) for _ in range(200)), counts=(200, 0, 0)),
    b"opts": lambda q: reply(q, record(rdata=TRUE) + dns_kit.opt() * 40, counts=(1, 0, 40)),
}


def polite(query, client, tcp):
    with lock:
        queries.append((query, client, tcp))
    first = query[13:13 + query[12]].lower()
    if not tcp and first in SPOOFS:
        return SPOOFS[first](query, client) + [0.15, true(query)]
    if first in ANSWERS:
        return ANSWERS[first](query)
    if first.startswith(b"tc"):  # truncated, whoever asks and how
        return reply(query, flags=0x8380)
    if b"hang" in query[:30].lower():  # its own server does not answer, and POLITE never will
        return None
    if first.startswith(b"nx"):
        return reply(query, soa("test"), NXDOMAIN, (0, 1, 0))
    return true(query)


LIES = {
    b"zero": b"\0\0",
    b"tiny": b"\0\1\0",
    b"half": b"\0",
    b"all": b"\xff\xff",
    b"begun": b"\xff\xff" + b"\0" * 30000,
    b"other": framed(b"\x12\x34\x81\x80\0\0\0\0\0\0\0\0"),
    b"garbage": bytes(range(256)) * 8,
}


class Liar(Upstream):
    """Says over TCP what no server says; `endless` sends for as long as it is heard, `close` and `reset` end."""

    def serve(self, conn, client):
        try:
            query = conn.recv(65536)[2:]
            first = query[13:13 + query[12]].lower()
            if first == b"reset":
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            while first == b"endless":
                conn.sendall(framed(forged(query, ident=struct.unpack(">H", query[:2])[0] ^ 1)) * 100)
            if first in LIES:
                conn.sendall(LIES[first])
                conn.recv(65536)
            conn.close()
        except OSError:
            pass


def slow(query, client, tcp):
    return [1.0, true(query)]


def asked(what, since=0):
    with lock:
        return sum(1 for q, _, _ in queries[since:] if q[12:skip_name(q, 12)].lower() == name(what))


def timed(what, kind=A):
    start = time.monotonic()
    return role.ask(what, kind), time.monotonic() - start


class Later:
    """Asks meanwhile."""

    def __init__(self, what):
        self.thread = threading.Thread(target=lambda: setattr(self, "answer", timed(what)))
        self.thread.start()

    def get(self):
        self.thread.join()
        return self.answer


def truth(a):
    return a is not None and a.rcode == NOERROR and a.of(A) == [TRUE]


def text_of(a):
    return a and (a.rcode, a.records[:4])


def spoofed():
    section("forged answers")
    for label in SPOOFS:
        a, s = timed(f"{label.decode()}.spoof.test")
        check(f"{label.decode()}: the true answer counts ({s * 1000:.0f} ms)", truth(a), text_of(a))
    flood = [(c[1], t) for q, c, t in queries if q[13:].lower().startswith(b"flood")]
    check("a flood of them: another port, or TCP, after a few", len({p for p, _ in flood}) > 1, flood)

    start = len(queries)
    for i in range(600):
        role.ask(f"entropy{i}abcdefghijkl.spoof.test")
    seen = queries[start:]
    ports, ids = len({c[1] for _, c, _ in seen}), len({q[:2] for q, _, _ in seen})
    cases = len({bytes(b & 0x20 for b in q[12:skip_name(q, 12)]) for q, _, _ in seen})
    steps = [abs(a[1][1] - b[1][1]) for a, b in zip(seen, seen[1:])]
    low, high = map(int, open("/proc/sys/net/ipv4/ip_local_port_range").read().split())
    check("600 questions: ports, ids and letters are as different as chance has it",
          ports > 570 and ids > 585 and cases > 590 and sorted(steps)[300] > 500, (ports, ids, cases, sorted(steps)[300]))
    bits = math.log2((high - low + 1) / 2) + 16
    print(f"# to be hit blindly: {bits:.1f} bits of port and id, and one for each letter of the name; 9 guesses for each question sent")

    # Birthday: many questions for one name must not become many chances.
    start = len(queries)
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(400)]
    for s in socks:
        s.connect(("127.0.0.1", 53))
        s.send(message(question("flood.birthday.spoof.test")))
    good = 0
    for s in socks:
        s.settimeout(8)
        good += truth(Answer(s.recv(4096)))
        s.close()
    n = asked("flood.birthday.spoof.test", start)
    check("400 questions for one name, 3,000 forged answers to each that goes out: all get the truth", good == 400, good)
    check("they are few questions upstream", n <= 6, n)


def poison():
    section("what was not asked")
    check("before: the victim", truth(role.ask("victim2.test")))
    for label in ("glue", "extra", "alias", "about-else", "deny-parent", "opts", "pointers", "alias-loop", "alias-round", "alias-long"):
        a, s = later[label].get() if label in later else timed(f"{label}.evil.test")
        forged_here = a and [r for r in a.records if r[4] == FORGED]
        # Who is asked may say where his own name leads; and who is asked about everything, what is above it.
        want = label in ("alias", "glue")
        check(f"{label}: nothing about others is passed on ({s * 1000:.0f} ms)", a is not None and bool(forged_here) == want, text_of(a))
        a = role.ask("victim.test")
        check(f"{label}: the victim's own answer is the true one", truth(a), text_of(a))
    a = role.ask("glue.stub.test")
    check("who is only asked about stub.test says nothing about what is above", truth(a) and len(a.records) == 1, text_of(a))
    check("a denial of the parent denies nobody else", truth(role.ask("sub.nobody.test")))


def ttls():
    section("TTLs")
    for label, kept in (("ttl0", False), ("ttl-min", False), ("ttl-max", False), ("ttl-long", True)):
        start = len(queries)
        answers = [role.ask(f"{label}.ttl.test") for _ in range(3)]
        n, ttl = asked(f"{label}.ttl.test", start), answers[-1].records[0][3]
        check(f"{label}: {'kept' if kept else 'not kept'} (TTL {ttl})", all(map(truth, answers)) and n == (1 if kept else 3) and
              (not kept or ttl <= 30), (n, ttl))
    time.sleep(1.1)
    check("TTLs count down", role.ask("ttl-long.ttl.test").records[0][3] <= 29)


def truncation():
    section("truncated, large, lying over TCP")
    fds = role.fds()
    a, s = timed("tc.trunc.test")
    check(f"truncated over UDP and TCP: an end ({s:.1f} s)", a is not None and s < 6 and not a.of(A), text_of(a))
    a, s = timed("tcnot.liar.test")
    check(f"TCP that is closed: SERVFAIL ({s:.1f} s)", a is not None and a.rcode == SERVFAIL and s < 6, text_of(a))
    a = role.ask("large-udp.test", TXT)
    check("54,000 bytes over UDP without being asked: the client is sent to TCP", a and a.truncated and len(a.data) <= 512, text_of(a))
    with socket.create_connection(("127.0.0.1", 53), timeout=8) as c:
        c.sendall(framed(message(question("large-udp.test", TXT))))
        data = b""
        while len(data) < 2 or len(data) < 2 + struct.unpack(">H", data[:2])[0]:
            data += c.recv(65536)
        check("and gets it there", Answer(data[2:]).counts[1] == 200, len(data))
    rss = role.rss_kb()
    ends = []

    def one(label):
        a, s = timed(f"{label}.liar.test")
        ends.append((label, a, s))
    threads = [threading.Thread(target=one, args=(x,)) for x in [k.decode() for k in LIES] + ["endless", "close", "reset"]]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for label, a, s in ends:
        check(f"TCP, {label}: SERVFAIL ({s:.1f} s)", a is not None and a.rcode == SERVFAIL and s < 6, text_of(a))
    role.back("lies over TCP", fds + 12, rss)


def dead():
    section("dead and slow upstreams")
    for zone, what, low, high, rcode in (("dead", "nobody listens", 0, 1, SERVFAIL), ("silent", "silence", 2, 5.6, SERVFAIL),
                                         ("mixed", "silent, dead, good: the third answers", 0, 2, NOERROR),
                                         ("slow", "1 s beside a fast one: the fast one is heard", 0, 0.9, NOERROR),
                                         ("slow-alone", "1 s, alone", 0.9, 2.5, NOERROR)):
        a, s = later[zone].get() if zone in later else timed(f"a.{zone}.test")
        check(f"{what}: {s:.2f} s", a is not None and a.rcode == rcode and low <= s <= high, text_of(a))
    times = sorted(timed(f"b{i}.mixed.test")[1] for i in range(40))
    check(f"later the dead are known: median {times[20] * 1000:.0f} ms, the slowest {times[-1] * 1000:.0f} ms", times[20] < 0.2, times[-5:])
    m = Upstream(MORTAL, lambda q, c, t: true(q, 1))
    check("one that lives answers", truth(role.ask("x.mortal.test")))
    m.close()
    a, s = timed("y.mortal.test")
    check(f"it dies: SERVFAIL ({s:.1f} s)", a is not None and a.rcode == SERVFAIL and s < 6, text_of(a))
    time.sleep(1.1)
    a, s = timed("x.mortal.test")
    check(f"what was kept is served stale ({s:.1f} s, TTL {a and a.records and a.records[0][3]})", truth(a) and a.records[0][3] == 30 and s < 2.5,
          text_of(a))
    a, s = timed("x.mortal.test")
    check(f"at once the second time ({s * 1000:.0f} ms)", truth(a) and s < 0.3, s)
    m = Upstream(MORTAL, lambda q, c, t: true(q, 1))
    soon("it comes back: new names are answered", lambda: truth(role.ask("z.mortal.test")), 4)
    m.close()


class Load:
    """Questions from many ports at once; what comes back is counted by rcode."""

    def __init__(self, n=32):
        self.socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(n)]
        self.poll = select.epoll()
        for s in self.socks:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            s.connect(("127.0.0.1", 53))
            self.poll.register(s, select.EPOLLIN)
        self.by_fd = {s.fileno(): s for s in self.socks}
        self.rcodes = {}
        self.sent = 0

    def take(self, seconds):
        for fd, _ in self.poll.poll(seconds):
            while True:
                try:
                    got = self.by_fd[fd].recv(4096, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                self.rcodes[got[3] & 15] = self.rcodes.get(got[3] & 15, 0) + 1

    def got(self):
        return sum(self.rcodes.values())

    def run(self, names, window):
        """At most `window` are under way; lost ones are forgotten after a second."""
        for what in names:
            self.socks[self.sent % len(self.socks)].send(message(question(what), ident=self.sent & 0xffff))
            self.sent += 1
            last = time.monotonic()
            while self.sent - self.got() >= window and time.monotonic() < last + 1:
                self.take(0.05)
        self.finish(3)

    def finish(self, seconds):
        end = time.monotonic() + seconds
        while self.got() < self.sent and time.monotonic() < end:
            self.take(0.1)
        for s in self.socks:
            s.close()
        return self


def flood():
    section("many questions")
    fds, rss = role.fds(), role.rss_kb()
    load, peak = Load(), [0, 0]
    for i in range(10000):
        load.socks[i % 32].send(message(question(f"r{i}.silent.test"), ident=i))
        load.sent += 1
        if i % 50 == 0:
            load.take(0.002)
        if i % 500 == 0:
            peak = [max(peak[0], role.fds()), max(peak[1], role.rss_kb())]
    soon("beside 10,000 questions that nobody answers: the cluster is answered", role.good)
    a, s = timed("beside.test")
    check(f"and other upstreams' names ({s * 1000:.0f} ms)", truth(a) and s < 1, text_of(a))
    peak = [max(peak[0], role.fds()), max(peak[1], role.rss_kb())]
    load.finish(8)
    check(f"each gets REFUSED or SERVFAIL in time: {load.rcodes}", load.got() >= 9500 and set(load.rcodes) <= {REFUSED, SERVFAIL}, load.rcodes)
    check(f"at most {peak[0] - fds} descriptors and {peak[1] - rss} kB more meanwhile", peak[0] - fds <= 1100 and (
        dns_kit.SANITIZED or peak[1] - rss < 24576), (fds, rss, peak))
    role.back("10,000 questions", fds, rss, 16384)

    hot = ["hot.test", "nx-hot.test"]
    rss = role.rss_kb()
    for what in hot:
        role.ask(what)
    start = len(queries)

    def names(prefix, n):
        for i in range(n):
            yield f"{prefix}{i}.test"
            if i % 1000 == 0:
                yield from hot
    load = Load()
    load.run(names("nx", 12000), 200)
    check(f"12,000 denials: {load.rcodes}", load.got() >= 11900, load.rcodes)
    load = Load()
    load.run(names("many", 12000), 200)
    check(f"12,000 names: {load.rcodes}", load.got() >= 11900, load.rcodes)
    check("what is asked all the time was kept", asked(hot[0], start) <= 1 and asked(hot[1], start) <= 1, [asked(h, start) for h in hot])
    for kind in ("success", "denial"):
        n = role.metric(f'coredns_cache_entries{{server="dns://:53",type="{kind}",view="",zones="."')
        check(f"the cache is bounded: {n:.0f} entries, {kind}", 9000 < n <= 9984 + 32, n)
    check(f"so is memory: {role.rss_kb() - rss} kB", dns_kit.SANITIZED or role.rss_kb() - rss < 24576, (rss, role.rss_kb()))
    # Random sub-domains of one victim whose server is slow to deny: others' questions still find room.
    load = Load()
    attack = threading.Thread(target=load.run, args=([f"w{random.randrange(1 << 40):x}.silent.test" for _ in range(3000)], 3000))
    attack.start()
    times = sorted(timed(f"calm{i}.test")[1] for i in range(30))
    check(f"during a flood of random sub-domains others wait {times[15] * 1000:.0f} ms, {times[-1] * 1000:.0f} ms at the most", times[15] < 0.2, times[-3:])
    attack.join()
    # The same where all go to one upstream, that waits in vain for the victim's server.
    load, end = Load(), time.monotonic() + 5.5

    def attack_same():
        while time.monotonic() < end:
            for _ in range(10):
                load.socks[load.sent % 32].send(message(question(f"hang{random.randrange(1 << 40):x}.random.test"), ident=load.sent & 0xffff))
                load.sent += 1
            load.take(0)
            time.sleep(0.02)
        load.finish(6)
    attack = threading.Thread(target=attack_same)
    attack.start()
    time.sleep(1.5)
    answers = [timed(f"quiet{i}.test") for i in range(60) if not time.sleep(0.05)]
    good, times = sum(truth(a) for a, _ in answers), sorted(s for _, s in answers)
    check(f"500 a second that an upstream never answers: {good} of 60 others are, the slowest in {times[-1] * 1000:.0f} ms", good >= 58, load.rcodes)
    attack.join()
    print(f"# the attacker got {load.rcodes} for {load.sent}")


def loops():
    section("servers that ask each other")

    def asked_in_all():
        return role.metric("coredns_dns_requests_total")
    before, start = asked_in_all(), time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(8)
        s.connect(("127.0.0.1", 5454))
        s.send(message(question("round.and.round.test")))
        a = Answer(s.recv(4096))
    check(f"one question: SERVFAIL ({time.monotonic() - start:.1f} s)", a.rcode == SERVFAIL, a.rcode)
    # Each gives up after 5 s, but may have asked the other once more just before that.
    n, since, end = asked_in_all() - before, time.monotonic(), time.monotonic() + 20
    while time.monotonic() - since < 3 and time.monotonic() < end:
        time.sleep(0.2)
        now = asked_in_all() - before
        if now != n:
            n, since = now, time.monotonic()
    check(f"and no more after {since - start:.0f} s", time.monotonic() - since >= 3, n)
    check(f"it went round {n:.0f} times", n <= 100, n)


def reloads():
    section("settings that change under load")
    fds, rss = role.fds(), role.rss_kb()
    good = 0
    attack = [Load(), Load()]
    end, n = time.monotonic() + 6, 0
    while time.monotonic() < end:
        if n % 40 == 0:
            role.write("Corefile", COREFILE + f"x{n}.test {{\n\tforward . 127.0.0.1:{SLOW}\n\tcache {n + 1}\n}}\n")
        for load, what in zip(attack, (f"r{n}.silent.test", f"r{n}.slow-alone.test")):
            load.socks[n % 32].send(message(question(what), ident=n))
            load.sent += 1
            load.take(0)
        good += truth(role.ask(f"reload{n}.test")) and role.good()
        n += 1
        time.sleep(0.01)
    for load in attack:
        load.finish(8)
    check(f"{n} questions meanwhile are answered", good == n, (good, n))
    check(f"those that wait are not lost: {attack[0].rcodes} {attack[1].rcodes}",
          attack[0].rcodes == {SERVFAIL: n} and attack[1].rcodes == {NOERROR: n}, (n, attack[0].rcodes, attack[1].rcodes))
    check("they were taken over", role.metric('coredns_plugin_enabled{server="dns://:53",zone="x') >= 2, role.log()[-600:])
    role.back("settings that change", fds, rss, 8192)


COREFILE = f"""
.:5454 {{
	forward . 127.0.0.1:5455
}}
.:5455 {{
	forward . 127.0.0.1:5454
}}
.:53 {{
	reload 2s 0s
	kubernetes cluster.local
	forward . 127.0.0.1:{POLITE}
	cache 30
}}
stub.test {{
	forward stub.test 127.0.0.1:{POLITE}
}}
dead.test {{
	forward . 127.0.0.1:{DEAD}
}}
silent.test {{
	forward . 127.0.0.1:{SILENT}
}}
mixed.test {{
	forward . 127.0.0.1:{SILENT} 127.0.0.1:{DEAD} 127.0.0.1:{POLITE} {{
		policy sequential
	}}
}}
slow.test {{
	forward . 127.0.0.1:{SLOW} 127.0.0.1:{POLITE} {{
		policy sequential
	}}
}}
slow-alone.test {{
	forward . 127.0.0.1:{SLOW}
}}
liar.test {{
	forward . 127.0.0.1:{LIAR} {{
		force_tcp
	}}
}}
mortal.test {{
	forward . 127.0.0.1:{MORTAL}
	cache 30 {{
		success 1000 30 1
		serve_stale 1h verify 1s
		servfail 0
	}}
}}
"""
upstreams = [Upstream(POLITE, polite), Upstream(SILENT, lambda q, c, t: None), Liar(LIAR, lambda q, c, t: None), Upstream(SLOW, slow)]
role = Role(build, COREFILE)
later = {"pointers": Later("pointers.evil.test"), "silent": Later("a.silent.test")}
try:
    for attack in (spoofed, poison, ttls, truncation, dead, loops, reloads, flood):
        attack()
finally:
    role.end()
finish()
