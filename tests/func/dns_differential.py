"""Every kind of question about the cluster, asked of the DNS role and of CoreDNS; dns_differential.sh has started them.

dns_expected.txt has a line for each question: "=" is what CoreDNS says, and behind it "!" what portico says where it differs
on purpose. DIFFERENCES has the reasons; a difference without one is a failure.
"""
import ipaddress
import os
import re
import socket
import struct
import threading
import time

import tap

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "ANY": 255, "HTTPS": 65,
         "AXFR": 252, "IXFR": 251}
NAMES = {v: k for k, v in TYPES.items()}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
OURS, THEIRS, UPSTREAM = 1, 2, 5399
OPT = b"\0" + struct.pack(">HHIH", 41, 1232, 0, 0)
SUFFIX = ".svc.cluster.local"

# (what matches "BLOCK NAME TYPE", why portico says something else)
DIFFERENCES = [
    (r" (x\.)?dns\.cluster\.local | (dns-version|ns\.dns)\.cluster\.local ",
     "a name with records, or with others below it, exists for every type (RFC 8020)"),
    (r" ((svc|pod|(shop|empty)\.(svc|pod))\.)?cluster\.local TXT$", "names above others exist for TXT as well (RFC 8020)"),
    (r" cluster\.local NS$", "the name server is the one that the SOA names"),
    (r" nobody\S* SOA$| nowhere\S* SOA$| \S+ SOA$", "a name that does not exist does not exist for SOA either"),
    (r" \S+\.(out|gone|in|inout|inside-nothing|loop-a)\.shop\S+ ", "nothing is below an ExternalName"),
    (r" (out|gone|inout)\.shop\S+ (HTTPS|MX|TXT|SRV|NS|SOA)$", "an ExternalName is a CNAME for every type (the specification; RFC 1034)"),
    (r"\.pod\.cluster\.local SRV$", "the specification has no SRV records for pods"),
    (r" x\.\S+\.pod\.cluster\.local ", "nothing is below a pod's name"),
    (r"\.(in-addr|ip6)\.arpa (?!PTR)", "an address that has a PTR record exists for every type (RFC 8020)"),
    (r" arpa| in-addr\.arpa NS| ip6\.arpa NS", "no name servers are made up for reverse zones"),
]


def questions():
    every = ("A", "AAAA", "SRV", "TXT", "CNAME", "MX", "HTTPS", "ANY", "NS", "SOA")
    few = ("A", "AAAA", "SRV", "TXT", "CNAME")
    services = ["web", "plain", "ports", "db", "portless", "idle", "many", "out", "gone", "in", "inout", "inside-nothing", "loop-a", "nobody"]
    for s in services:
        yield from ((0, f"{s}.shop{SUFFIX}", t) for t in every)
    below = ["_http._tcp.web", "http.tcp.web", "_http.tcp.web", "_HTTP._TCP.web", "_http._udp.web", "_https._tcp.web", "_http._tcp.plain",
             "_dns._udp.ports", "_dns-tcp._tcp.ports", "_dns._tcp.ports", "_metrics._tcp.ports", "_metrics._sctp.ports",
             "_pg._tcp.db", "_metrics._tcp.db", "_pg._udp.db", "_a._tcp.many", "_http._tcp.idle", "_http._tcp.nobody", "_http._tcp.out",
             "x._http._tcp.web", "a.b.c.d.web",
             "10-244-1-1.web", "10-244-1-2.web", "10-244-1-3.web", "10-244-1-4.web", "web-a.web", "x.10-244-1-1.web",
             "db-0.db", "db-1.db", "db-3.db", "10-244-2-3.db", "10-244-2-1.db", "db-pod-2.db", "fd00-244--0.db", "2001-db8--9.db",
             "same.many", "10-244-5-1.many", "10-244-2-1.portless", "10-244-4-1.idle", "x.out", "x.in"]
    for b in below:
        yield from ((0, f"{b}.shop{SUFFIX}", t) for t in few)
    places = ["cluster.local", "svc.cluster.local", "pod.cluster.local", "shop.svc.cluster.local", "empty.svc.cluster.local",
              "nowhere.svc.cluster.local", "web.nowhere.svc.cluster.local", "shop.pod.cluster.local", "nowhere.pod.cluster.local",
              "dns-version.cluster.local", "x.dns-version.cluster.local", "dns.cluster.local", "x.dns.cluster.local", "www.cluster.local",
              "orphan.empty.svc.cluster.local", "www.example.com.shop.svc.cluster.local", "www.example.com.svc.cluster.local",
              "www.example.com.cluster.local", "web.shop", "10-244-1-1.shop.pod.cluster.local", "10-9-9-9.shop.pod.cluster.local",
              "2001-db8--1.shop.pod.cluster.local", "10-244-1-1.nowhere.pod.cluster.local", "10-244-1-256.shop.pod.cluster.local",
              "nonsense.shop.pod.cluster.local", "x.10-244-1-1.shop.pod.cluster.local", "010-244-1-1.shop.pod.cluster.local"]
    for p in places:
        yield from ((0, p, t) for t in ("A", "AAAA", "TXT", "SRV", "SOA", "ANY"))
    yield (0, "cluster.local", "AXFR")
    yield (0, "cluster.local", "NS")
    reverse = [ipaddress.ip_address(a).reverse_pointer for a in (
        "10.96.1.1", "10.96.1.3", "10.244.1.1", "10.244.1.2", "10.244.1.3", "10.244.2.1", "10.244.2.3", "10.244.5.2", "10.244.4.1", "10.9.9.9",
        "fd00:244::1", "fd00:244::", "2001:db8::9", "2001:db8::10", "10.96.2.1")]
    reverse += ["in-addr.arpa", "ip6.arpa", "1.96.10.in-addr.arpa", "x.1.1.96.10.in-addr.arpa", "256.1.96.10.in-addr.arpa"]
    for block in (0, 1, 2):
        yield from ((block, r, t) for r in reverse for t in ("PTR", "A", "SOA"))
    other = ["web.shop", "plain.shop", "db.shop", "out.shop", "orphan.empty", "nobody.shop", "nobody.empty", "_http._tcp.web.shop", "_pg._tcp.db.shop",
             "10-244-1-1.web.shop", "web-a.web.shop", "db-pod-0.db.shop", "db-0.db.shop", "db-pod-2.db.shop", "10-244-2-3.db.shop"]
    for block in (1, 2, 3):
        yield from ((block, o + SUFFIX, t) for o in other for t in ("A", "AAAA", "SRV"))
        yield from ((block, p, t) for p in ("cluster.local", "shop.svc.cluster.local", "empty.svc.cluster.local", "10-244-1-1.shop.pod.cluster.local",
                                            "10-244-1-3.shop.pod.cluster.local", "shop.pod.cluster.local", "pod.cluster.local",
                                            "www.cluster.local", "www.example.com") for t in ("A", "SOA"))


def encode(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".") if p) + b"\0"


def read_name(m, at):
    parts, end = [], None
    while m[at]:
        if m[at] >= 0xC0:
            end = end or at + 2
            at = struct.unpack(">H", m[at:at + 2])[0] & 0x3FFF
            continue
        parts.append(m[at + 1:at + 1 + m[at]].decode("latin-1"))
        at += 1 + m[at]
    return ".".join(parts) + ".", end or at + 1


def record(m, at):
    name, at = read_name(m, at)
    kind, _, ttl, n = struct.unpack(">HHIH", m[at:at + 10])
    at += 10
    data = m[at:at + n]
    if kind in (1, 28):
        text = str(ipaddress.ip_address(data))
    elif kind in (2, 5, 12):
        text = read_name(m, at)[0]
    elif kind == 33:
        text = "%d %d %d " % struct.unpack(">HHH", data[:6]) + read_name(m, at + 6)[0]
    elif kind == 6:
        ns, p = read_name(m, at)
        box, p = read_name(m, p)
        text = f"{ns} {box} SERIAL " + "%d %d %d %d" % struct.unpack(">IIII", m[p + 4:p + 20])
    else:
        text = data.hex() if kind != 16 else repr(data[1:].decode())
    return (kind, f"{name} {ttl} {NAMES.get(kind, kind)} {text}".lower()), at + n


def describe(m, name):
    ident, flags, *counts = struct.unpack(">HHHHHH", m[:12])
    asked, at = read_name(m, 12)
    words = [RCODES.get(flags & 15, str(flags & 15))] + [w for w, bit in (("aa", 0x400), ("tc", 0x200), ("rd", 0x100)) if flags & bit]
    if asked != name + ".":
        words.append("another-question")
    out, at = [" ".join(words)], at + 4
    for n in counts[1:]:
        rows = []
        for _ in range(n):
            (kind, text), at = record(m, at)
            if kind != 41:
                rows.append(text)
        out.append("; ".join(sorted(rows)))
    return " | ".join(out).rstrip(" |")


class Asker:
    def __init__(self, whose):
        self.whose, self.sock = whose, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(2)
        self.ident = 0

    def ask(self, block, name, kind):
        self.ident = (self.ident + 1) & 0xFFFF
        q = struct.pack(">HHHHHH", self.ident, 0x0100, 1, 0, 0, 1) + encode(name) + struct.pack(">HH", TYPES[kind], 1) + OPT
        to = ("127.0.0.1", 5300 + 10 * block + self.whose)
        for _ in range(3):
            self.sock.sendto(q, to)
            try:
                while True:
                    m = self.sock.recv(65536)
                    if m[:2] == q[:2]:
                        return self.tcp(to, q, name) if m[2] & 2 else describe(m, name)
            except TimeoutError:
                continue
        return "no answer"

    @staticmethod
    def tcp(to, q, name):
        with socket.create_connection(to, 3) as s:
            s.sendall(struct.pack(">H", len(q)) + q)
            f = s.makefile("rb")
            return "over TCP: " + describe(f.read(struct.unpack(">H", f.read(2))[0]), name)


def upstream():
    """www.example.com has addresses; nothing else exists."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", UPSTREAM))
    soa = b"\xc0\x0c" + struct.pack(">HHIH", 6, 1, 60, 22) + b"\0\0" + struct.pack(">IIIII", 1, 2, 3, 4, 60)
    answers = {(b"\x03www\x07example\x03com\0", 1): struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + bytes([192, 0, 2, 1]),
               (b"\x03www\x07example\x03com\0", 28): struct.pack(">HHHIH", 0xC00C, 28, 1, 60, 16) + ipaddress.ip_address("2001:db8::1").packed}
    while True:
        m, who = s.recvfrom(4096)
        name_end = m.index(b"\0", 12) + 1
        name, kind = m[12:name_end].lower(), struct.unpack(">H", m[name_end:name_end + 2])[0]
        a = answers.get((name, kind))
        exists = any(n == name for n, _ in answers)
        head = m[:2] + struct.pack(">HHHHH", 0x8180 | (0 if exists else 3), 1, 1 if a else 0, 0 if a else 1, 0)
        s.sendto(head + m[12:name_end + 4] + (a or soa), who)


def reason_of(key):
    for pattern, why in DIFFERENCES:
        if re.search(pattern, key):
            return why
    return None


def load(path):
    theirs, ours, key = {}, {}, None
    for line in open(path) if os.path.exists(path) else []:
        line = line.rstrip("\n")
        if line.startswith("= "):
            theirs[key] = line[2:]
        elif line.startswith("! "):
            ours[key] = line[2:]
        elif line:
            key = line
    return theirs, ours


def save(path, rows):
    with open(path, "w") as f:
        for key, theirs, ours in rows:
            f.write(f"{key}\n= {theirs}\n" + (f"! {ours}\n" if ours != theirs else ""))


def until_synced(asker):
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if all(not asker.ask(b, "cluster.local", "SOA").startswith(("SERVFAIL", "no answer")) for b in range(4)):
            return True
        time.sleep(0.05)
    return False


def main():
    threading.Thread(target=upstream, daemon=True).start()
    ours, path = Asker(OURS), os.environ["EXPECTED"]
    theirs = Asker(THEIRS) if os.environ.get("COREDNS") else None
    recorded, on_purpose = load(path)
    rows, ok = [], 0
    tap.section("answers about the cluster, " + ("CoreDNS beside" if theirs else "as CoreDNS gave them"))
    tap.check("the zones are there", until_synced(ours))
    if theirs:
        tap.check("CoreDNS' are as well", until_synced(theirs))
    for block, name, kind in questions():
        key = f"{block} {name} {kind}"
        mine, want = ours.ask(block, name, kind), recorded.get(key, "nothing is recorded")
        if theirs:
            other = theirs.ask(block, name, kind)
            if want != other and not os.environ.get("RECORD"):
                tap.check(f"{key}: CoreDNS says what it said", False, f"now  {other}\nthen {want}")
            want = other
        rows.append((key, want, mine))
        if mine != want and reason_of(key) and (os.environ.get("RECORD") or on_purpose.get(key) == mine):
            ok += 1
        elif mine == want:
            ok += 1
        else:
            tap.check(key, False, f"portico {mine}\nCoreDNS {want}" + (f"\nportico, recorded {on_purpose[key]}" if key in on_purpose else ""))
    tap.check(f"{ok} of {len(rows)} questions are answered alike, or otherwise on purpose", ok == len(rows))
    if theirs and os.environ.get("RECORD"):
        save(path, rows)
    tap.finish()


main()
