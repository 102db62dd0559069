"""Malformed HTTP/1, to the API server over TLS and to the ingress proxy: both families of request smuggling
(messages whose end two readers may see at different places), and what only looks like HTTP.

Every refusal must also end the connection: what follows on it cannot be told from the attack. A request for
/smuggled hides behind each; it must never be answered, nor reach a backend.
"""
import kit
from http1_corpus import CASES, HIDDEN, LONG
from kit import API, CONTEXT, check, http1, section

def refused(where, port, context, name, data, statuses):
    answers, ended = http1(port, data + HIDDEN, context, want=1)
    got = [a[0] for a in answers]
    check(f"{where}: {name}", len(got) == 1 and got[0] in statuses and ended,
          f"want one of {statuses}, then the end\ngot  {got}, {'ended' if ended else 'open'}\n{answers[:1]}")


def everything(where, port, context, words):
    section(f"{where}: HTTP/1")
    for name, data, *statuses in CASES:
        refused(where, port, context, name, data, statuses or [400])
    for name, data in LONG:
        refused(where, port, context, name, data, [400, 414, 431])
    answers, _ = http1(port, CASES[0][1], context)
    check(f"{where}: a refusal's words", answers and words in answers[0][1] + b"\r\n\r\n" + answers[0][2], answers)


def slices(where, port, context, data, good):
    """The same bytes in pieces of every size mean the same."""
    bad = []
    for size in (1, 2, 3, 7, 64):
        with kit.Raw(port, context) as r:
            for at in range(0, len(data), size):
                r.send(data[at:at + size])
            r.until(lambda got: kit.responses(got)[0])
            if not good(kit.responses(r.got)[0]):
                bad.append((size, r.got[:200]))
    check(f"{where}: the same in pieces", not bad, bad)


def api_server():
    ctx = kit.tls_context(["http/1.1"])
    everything("API server", API, ctx, b'"kind":"Status"')
    slices("API server", API, ctx, b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n", lambda a: a and a[0][0] == 200)
    slices("API server", API, ctx, CASES[0][1], lambda a: a and a[0][0] == 400)
    answers, _ = http1(API, b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n" * 20, ctx, want=20)
    check("API server: 20 requests at once are answered in order", [a[0] for a in answers] == [200] * 20, answers)
    answers, _ = http1(API, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    check("API server: HTTP without TLS ends, and harms nobody", True, answers)
    with kit.Raw(API) as r:
        r.send(b"\x16\x03\x01\xff\xff" + b"\xff" * 3000)
        r.until(lambda got: False)
        check("API server: a TLS hello of garbage ends the connection", r.ended, r.got)
    idle = [kit.Raw(API) for _ in range(200)]
    kit.api_still_answers("API server: beside 200 connections that say nothing")
    for r in idle:
        r.close()
    kit.api_still_answers("API server: an ordinary request is answered")


def run():
    api_server()
