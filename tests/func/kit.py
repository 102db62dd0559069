"""kit.py - what the drivers of bad input share besides tap.py: the roles that were started, the API server."""
import http.client
import json
import os
import re
import ssl

from tap import DEADLINE, Raw, check, http1, responses, section, soon  # noqa: F401: for the drivers

WORK = os.environ["WORK"]
NODE = os.environ["NODE_IP"]
API, HTTP, HTTPS, DNS = 6443, 8080, 8443, 10053


def tls_context(alpn=None):
    c = ssl.create_default_context(cafile=f"{WORK}/data/pki/ca.crt")
    c.load_cert_chain(f"{WORK}/data/pki/admin.crt", f"{WORK}/data/pki/admin.key")
    if alpn:
        c.set_alpn_protocols(alpn)
    return c


CONTEXT = tls_context()
_api = None


def api(method, path, body=None, headers=None):
    """One request on a kept connection: (status, headers, bytes). A connection that was closed is opened again."""
    global _api
    for attempt in (0, 1):
        try:
            if _api is None:
                _api = http.client.HTTPSConnection("127.0.0.1", API, context=CONTEXT, timeout=DEADLINE)
            _api.request(method, path, body=body, headers=headers or {})
            r = _api.getresponse()
            data = r.read()
            if r.will_close:
                _api.close()
                _api = None
            return r.status, r.headers, data
        except (OSError, http.client.HTTPException):
            _api.close()
            _api = None
            if attempt:
                raise


def message_of(data):
    """The message of a Status, or the text itself."""
    try:
        v = json.loads(data)
        return v.get("message", "") if isinstance(v, dict) and v.get("kind") == "Status" else data.decode()
    except ValueError:
        return data.decode(errors="replace")


def api_row(name, method, path, body, headers, status, pattern):
    got, head, data = api(method, path, body, headers)
    text = message_of(data) + "".join(f"\nwarning: {w}" for w in head.get_all("Warning") or [])
    return check(name, got == status and re.search(pattern, text, re.S) is not None,
                 f"want {status} {pattern}\ngot  {got} {text}")


def api_still_answers(name="an ordinary request is answered"):
    status, _, data = api("GET", "/api/v1/namespaces/default")
    return check(name, status == 200 and json.loads(data)["metadata"]["name"] == "default", data)
