"""dns_search.py BUILD-DIR - what a pod's search list costs: questions that the pod sends, and look-ups that go upstream. (root)

A resolver as glibc's (ndots:5, A and AAAA side by side) walks the list for each name; a counting upstream says what arrived. Prints
TAP, and the table as comments.
"""
import os
import socket
import sys

import dns_kit
from dns_kit import A, AAAA, CLUSTER, NOERROR, NXDOMAIN, Answer, Role, Upstream, message, name, question, record, reply, soa
from tap import check, finish

dns_kit.isolate()
build = sys.argv[1]
POD, SERVER, UPSTREAM = "10.99.0.7", "10.99.0.1", 6001
KUBERNETES = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"]
PODS = f"""---
{{kind: Pod, apiVersion: v1, metadata: {{name: client, namespace: default}}, spec: {{containers: [{{name: c, image: x}}]}},
 status: {{phase: Running, podIP: {POD}, podIPs: [{{ip: {POD}}}]}}}}
"""
COREFILE = """
.:53 {
	kubernetes cluster.local in-addr.arpa ip6.arpa {
		pods verified
	}
	AUTOPATH
	cache 30
	forward . 127.0.0.1:6001
}
"""


def answer(query, client, tcp):
    if b"\3www\7example\3com\0" in query.lower() and query[12:16].lower() == b"\3www":
        if query.lower()[12:].startswith(name("www.example.com")):
            kind = query[12 + len(name("www.example.com")) + 1]
            return reply(query, record(kind, b"\x20\1\x0d\xb8" + bytes(12) if kind == AAAA else b"\xc0\0\2\7", 300), counts=(1, 0, 0))
    zone = "corp.test" if name("corp.test") in query.lower() else "example.com"
    return reply(query, soa(zone, 300), NXDOMAIN, (0, 1, 0))


class Pod:
    """A resolver in a pod; counts what it sends."""

    def __init__(self, search):
        self.search, self.sent = search, 0
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((POD, 0))
        self.sock.connect((SERVER, 53))
        self.sock.settimeout(5)

    def pair(self, what):
        """The answers to A and AAAA."""
        for ident, kind in ((1, A), (2, AAAA)):
            self.sock.send(message(question(what, kind), ident))
        self.sent += 2
        return [Answer(self.sock.recv(4096)) for _ in range(2)]

    def look_up(self, what):
        absolute = what.endswith(".")
        names = [what] if absolute else [what] + [f"{what}.{s}" for s in self.search] if what.count(".") >= 5 else \
            [f"{what}.{s}" for s in self.search] + [what]
        for candidate in names:
            answers = self.pair(candidate)
            if any(a.rcode == NOERROR and a.counts[1] for a in answers):
                return True
        return False


def rows(kind, autopath, search):
    conf = "/tmp/portico-dns-search.conf"
    with open(conf, "w") as f:
        f.write("search " + " ".join(search) + "\nnameserver 10.96.0.10\n")
    role = Role(build, COREFILE.replace("AUTOPATH", autopath.replace("FILE", conf)), CLUSTER + PODS)
    os.unlink(conf)
    try:
        host = len(search) - 3
        for what, found, direct in (("www.example.com", True, 1), ("nothing.example.com", False, 1), ("web", True, 0), ("web.default", True, 0),
                                    ("www.example.com.", True, 1)):
            pod, counts = Pod(search), []
            for _ in range(5):
                before = len(upstream.names())
                good = pod.look_up(what) == found
                counts.append(len(upstream.names()) - before)
            seen = upstream.names()[-sum(counts):] if sum(counts) else []
            # of each type the name itself once, and once each with the host's own search domains
            limit = 2 * (direct + (host if direct and not what.endswith(".") else 0))
            if what == "www.example.com." :
                limit = 0  # kept since the first row
            row = f"{kind:<32} {what:<20} {pod.sent / 5:>6.1f} {counts[0]:>8} {sum(counts):>8}"
            check(row, good and sum(counts) <= limit and len(seen) == len(set(seen)), (good, limit, seen))
            table.append(row)
    finally:
        role.end()


table = [f"{'settings':<32} {'name':<20} {'asked':>6} {'upstream':>8} {'of five':>8}"]
upstream = Upstream(UPSTREAM, answer)
HOST = KUBERNETES + ["corp.test"]
rows("plain", "", KUBERNETES)
rows("host domain", "", HOST)
rows("autopath @kubernetes", "autopath @kubernetes", KUBERNETES)
rows("autopath FILE", "autopath FILE", KUBERNETES)
rows("autopath FILE, host domain", "autopath FILE", HOST)
print("# questions of the pod for each look-up of a name; look-ups upstream for the first, and for five of them (A and AAAA)")
for line in table:
    print("# " + line)
finish()
