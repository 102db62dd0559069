"""Request bodies, queries and headers of the API server that are wrong, and what it says to each.

The words are kube-apiserver's where it has any for the case.
"""
import base64
import json
import ssl

from kit import API, WORK, api, api_row, api_still_answers, check, http1, section

CM = "/api/v1/namespaces/default/configmaps"
SVC = "/api/v1/namespaces/default/services"
DEPLOY = "/apis/apps/v1/namespaces/default/deployments"
JSON = {"Content-Type": "application/json"}
YAML = {"Content-Type": "application/yaml"}
PB = {"Content-Type": "application/vnd.kubernetes.protobuf"}
MERGE = {"Content-Type": "application/merge-patch+json"}
SMP = {"Content-Type": "application/strategic-merge-patch+json"}
JPATCH = {"Content-Type": "application/json-patch+json"}
UNRECOGNIZED = r"the object provided is unrecognized \(must be of type ConfigMap\): couldn't get version/kind; json parse error: "


def configmap(name, **more):
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **more})


def tag(field, wire, payload=b""):
    return bytes([field << 3 | wire]) + (bytes([len(payload)]) + payload if wire == 2 else payload)


def envelope(raw, kind=b"ConfigMap"):
    """k8s\\0, then runtime.Unknown: typeMeta 1, raw 2."""
    meta = tag(1, 2, b"v1") + tag(2, 2, kind)
    return b"k8s\0" + tag(1, 2, meta) + tag(2, 2, raw)


GOOD_PB = envelope(tag(1, 2, tag(1, 2, b"pb")))
NO_PREFIX = "does not appear to be a protobuf message, expected prefix"


def bodies():
    section("API server: JSON")
    deep = '{"a":' * 5000 + "1" + "}" * 5000
    deep_list = "[" * 100000
    huge = configmap("huge", data={"a": "x" * (3 << 20)})
    rows = [
        ("an empty body", "", 400, UNRECOGNIZED + r"unexpected end of JSON input \(<empty>\)"),
        ("truncated JSON", '{"apiVersion":', 400, UNRECOGNIZED + r"unexpected end of JSON input \(\{\"apiVersion\":\)"),
        ("truncated in a string", '{"apiVersion":"v1","kin', 400, "unexpected end of JSON input"),
        ("truncated in an escape", '{"apiVersion":"\\u00', 400, "unexpected end of JSON input"),
        ("junk behind the object", configmap("a") + "x", 400, "invalid character 'x' after top-level value"),
        ("two objects", configmap("a") * 2, 400, r"invalid character '\{' after top-level value"),
        ("no JSON at all", "hello", 400, "invalid character 'h' looking for beginning of value"),
        ("a list", "[]", 400, "json: cannot unmarshal array into Go value"),
        ("a control character in a string", '{"apiVersion":"v\x011"}', 400, r"invalid character '\\x01' in string literal"),
        ("a NUL", '{"apiVersion":"v1","kind":"ConfigMap"\0}', 400, r"invalid character '\\x00'"),
        ("text that is not UTF-8", b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"\xff\xfe"}}', 400, "."),
        ("a lone surrogate", '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"\\ud800"}}', None, "."),
        ("5,000 nested objects", deep, 400, "nested deeper|exceeded max depth"),
        ("100,000 open brackets", deep_list, 400, "nested deeper|exceeded max depth"),
        ("5,000 levels within an object", configmap("a", data=json.loads("{}")).replace("{}", deep), 400, "nested deeper|exceeded max depth"),
        ("more than 3 MiB", huge, 413, r"Request entity too large: limit is 3145728"),
        ("a number past every type", '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"n","generation":1e999}}', 400, "."),
        ("an integer past 64 bits", '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"n","generation":99999999999999999999}}', 400, "."),
        ("null", "null", (400, 422), "."),
        ("a kind that is none", '{"apiVersion":"v1","kind":"Nope"}', 400, 'no kind "Nope" is registered for version "v1"'),
        ("another kind", '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}', 400, r"converting \(v1.Pod\) to \(core.ConfigMap\): unknown conversion"),
        ("a strange apiVersion", '{"apiVersion":"a/b/c","kind":"ConfigMap"}', 400, "unexpected GroupVersion string: a/b/c"),
        ("a kind that is a number", '{"apiVersion":"v1","kind":3}', 400, "json: cannot unmarshal number into Go struct field .kind of type string"),
        ("metadata that is a list", '{"apiVersion":"v1","kind":"ConfigMap","metadata":[]}', 400, "cannot unmarshal array into Go struct field"),
        ("another namespace", configmap("a").replace('"name"', '"namespace": "b", "name"'), 400, "the namespace of the provided object does not match the namespace sent on the request"),
    ]
    for name, body, status, text in rows:
        data = body if isinstance(body, bytes) else body.encode()
        if isinstance(status, int):
            api_row(name, "POST", CM, data, JSON, status, text)
        else:
            got, _, answer = api("POST", CM, data, JSON)
            check(name, got in (status or (201, 400, 422)), answer)
    api_row("a Secret that is no base64", "POST", "/api/v1/namespaces/default/secrets",
            '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"data":{"a":"!"}}', JSON, 400, "illegal base64 data at input byte 0")
    api_row("a missing namespace", "POST", "/api/v1/namespaces/nons/configmaps", configmap("a"), JSON, 404, 'namespaces "nons" not found')
    api_row("a body of another media type", "POST", CM, configmap("a"), {"Content-Type": "text/plain"}, 415,
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf")
    api_row("a Content-Type that is none", "POST", CM, configmap("a"), {"Content-Type": ";;;/"}, 415, "unknown format")
    section("API server: YAML")
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9))
    for name, body, text in [
        ("a billion laughs", bomb, "."),
        ("an alias to itself", "a: &a [*a]\n", "."),
        ("an alias to nothing", "a: *b\n", "."),
        ("a tab as indentation", "a:\n\t- b\n", "."),
        ("an open quote", 'a: "b', "."),
        ("10,000 nested lists", "[" * 10000, "."),
        ("two documents", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y1}\n---\nb: c\n", None),
        ("bytes that are no text", b"\xff\xfe\x00a", "."),
        ("a map as key", "{a: b}: c\n", "."),
    ]:
        got, _, answer = api("POST", CM, body if isinstance(body, bytes) else body.encode(), YAML)
        check(name, got == 400 if text else got in (201, 400), f"{got} {answer}")


def protobuf():
    section("API server: protobuf")
    api_row("an object in protobuf is taken", "POST", CM, GOOD_PB, PB, 201, ".")
    rows = [
        ("an empty body", b"", "."),
        ("no prefix", b"hello", NO_PREFIX),
        ("JSON as protobuf", configmap("a").encode(), NO_PREFIX),
        ("half a prefix", b"k8s", NO_PREFIX),
        ("only the prefix", b"k8s\0", "."),
        ("zeros", b"k8s\0" + b"\0" * 100, "."),
        ("ones", b"k8s\0" + b"\xff" * 100, "."),
        ("a varint that never ends", b"k8s\0" + b"\x80" * 20, "."),
        ("a length past the end", b"k8s\0\x0a\x7f" + b"ab", "."),
        ("a length of 2^63", b"k8s\0\x0a" + b"\xff" * 9 + b"\x01", "."),
        ("group wire types", b"k8s\0\x0b\x0c", "."),
        ("an object with a wrong wire type", envelope(b"\x08\x01"), "wrong wireType"),
        ("a name that is no UTF-8", envelope(tag(1, 2, tag(1, 2, b"\xff\xfe"))), "UTF-8"),
        ("a kind that is none", envelope(b"", b"Nope"), 'no kind "Nope"'),
        ("another kind", envelope(b"", b"Pod"), "unknown conversion"),
    ]
    for name, body, text in rows:
        api_row(name, "POST", CM, body, PB, 400, text)
    bad = [n for n in range(4, len(GOOD_PB)) if api("POST", CM, GOOD_PB[:n], PB)[0] not in (400, 409, 422)]
    check("an object truncated at every byte", not bad, f"taken when cut at {bad}")
    nested = b""
    for _ in range(40):
        nested = b"\x0a" + varint(len(nested)) + nested
    api_row("more than 3 MiB", "POST", CM, b"k8s\0" + b"\x12" + varint(3 << 20) + b"x" * (3 << 20), PB, 413, "Request entity too large")
    got, _, answer = api("POST", CM, envelope(nested[:120]), PB)
    check("messages in messages", got in (400, 422), f"{got} {answer}")


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def fields():
    section("API server: fieldValidation")
    unknown = '{"apiVersion":"v1","kind":"Service","metadata":{"name":"uf%d"},"spec":{"portz":1,"ports":[{"port":80,"nope":1}]}}'
    twice = '{"apiVersion":"v1","kind":"Service","metadata":{"name":"x","name":"dup%d"},"spec":{"ports":[{"port":80}]}}'
    both = r'unknown field "spec.portz", unknown field "spec.ports\[0\].nope"'
    api_row("unknown fields, Strict", "POST", SVC + "?fieldValidation=Strict", unknown % 1, JSON, 400,
            r'Service in version "v1" cannot be handled as a Service: strict decoding error: ' + both)
    api_row("unknown fields, Warn", "POST", SVC + "?fieldValidation=Warn", unknown % 2, JSON, 201, r'warning: 299 - "unknown field \\"spec.portz\\""')
    api_row("unknown fields, by default Warn", "POST", SVC, unknown % 3, JSON, 201, r'warning: 299 - "unknown field \\"spec.portz\\""')
    got, head, answer = api("POST", SVC + "?fieldValidation=Ignore", unknown % 4, JSON)
    check("unknown fields, Ignore", got == 201 and not head.get_all("Warning"), answer)
    check("and they are not kept", b"nope" not in answer and b"portz" not in answer, answer)
    api_row("duplicate keys, Strict", "POST", SVC + "?fieldValidation=Strict", twice % 1, JSON, 400, 'strict decoding error: duplicate field "metadata.name"')
    api_row("duplicate keys, Warn", "POST", SVC + "?fieldValidation=Warn", twice % 2, JSON, 201, r'"name": ?"dup2".*warning: 299 - "duplicate field \\"metadata.name\\""')
    got, head, answer = api("POST", SVC + "?fieldValidation=Ignore", twice % 3, JSON)
    check("duplicate keys, Ignore", got == 201 and not head.get_all("Warning"), answer)
    api_row("duplicate keys in YAML, Strict", "POST", SVC + "?fieldValidation=Strict", "kind: Service\napiVersion: v1\nmetadata: {name: twice, name: twice}\nspec: {ports: [{port: 80}]}\n",
            YAML, 400, 'strict decoding error: .*"name"')
    api_row("another mode", "POST", SVC + "?fieldValidation=Nope", unknown % 5, JSON, 422, 'fieldValidation: Unsupported value: "Nope"')
    api_row("a field of a wrong type", "POST", SVC, '{"apiVersion":"v1","kind":"Service","metadata":{"name":"wt"},"spec":{"ports":[{"port":"x"}]}}', JSON, 400,
            "json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32")
    api_row("a field manager of 200 bytes", "POST", CM + "?fieldManager=" + "m" * 200, configmap("fm"), JSON, 422,
            r'CreateOptions.meta.k8s.io "" is invalid: fieldManager: Too long: may not be more than 128 bytes')
    api_row("dryRun of another word", "POST", CM + "?dryRun=Some", configmap("dr"), JSON, 422, r'Unsupported value: .*"?Some"?')


def patches():
    section("API server: patches")
    api("POST", CM, configmap("p", data={"a": "b"}), JSON)
    api("POST", DEPLOY, json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "containers": [{"name": "c", "image": "i"}]}}}}), JSON)
    one, dep = CM + "/p", DEPLOY + "/d"
    refused = "the server rejected our request due to an error in our request"
    spec = '{"spec":{"template":{"spec":%s}}}'
    rows = [
        ("truncated merge patch", one, MERGE, '{"data":', 400, "error decoding patch|unexpected end of JSON input"),
        ("a merge patch that is a list", one, MERGE, "[]", 400, "."),
        ("a merge patch that is a word", one, MERGE, '"x"', 400, "."),
        ("an empty merge patch", one, MERGE, "", 400, "."),
        ("a merge patch of a wrong type", one, MERGE, '{"data":[1]}', 400, "cannot unmarshal array into Go struct field"),
        ("a merge patch of metadata to null", one, MERGE, '{"metadata":null}', None, "."),
        ("a merge patch, deeply nested", one, MERGE, '{"a":' * 3000 + "1" + "}" * 3000, 400, "."),
        ("a JSON patch that is an object", one, JPATCH, "{}", 400, "cannot unmarshal object into Go value of type jsonpatch.Patch"),
        ("a JSON patch of an unknown op", one, JPATCH, '[{"op":"zap","path":"/data/a"}]', 422, refused),
        ("a JSON patch of a missing path", one, JPATCH, '[{"op":"replace","path":"/nope/a","value":1}]', 422, refused),
        ("a JSON patch whose test fails", one, JPATCH, '[{"op":"test","path":"/data/a","value":"z"}]', 422, refused),
        ("a JSON patch of an index that is none", one, JPATCH, '[{"op":"add","path":"/metadata/finalizers/99999999999999999999","value":"x"}]', 422, refused),
        ("a JSON patch without a path", one, JPATCH, '[{"op":"add","value":1}]', 422, "."),
        ("a JSON patch of words", one, JPATCH, '["add"]', 400, "cannot unmarshal string into Go value of type jsonpatch.Operation"),
        ("a JSON patch that leaves no object", one, JPATCH, '[{"op":"replace","path":"","value":3}]', None, "."),
        ("a JSON patch of 10,001 operations", one, JPATCH, json.dumps([{"op": "test", "path": "/data/a", "value": "b"}] * 10001), 413,
         "The allowed maximum operations in a JSON patch is 10000, got 10001"),
        ("a JSON patch that grows by copying", one, JPATCH, json.dumps(
            [{"op": "add", "path": "/data/x", "value": "y" * 1000}] + [{"op": "copy", "from": "/data", "path": f"/data/x{i}"} for i in range(60)]), None, "."),
        ("a strategic patch with an unknown directive", dep, SMP, spec % '{"$patch":"zap"}', 400, "unknown patch type: zap"),
        ("a strategic patch without a merge key", dep, SMP, spec % '{"containers":[{"image":"x"}]}', 400, "does not contain declared merge key: name"),
        ("a strategic patch: a list that is none", dep, SMP, spec % '{"containers":"x"}', 400, "."),
        ("a strategic patch: an order that lies", dep, SMP, spec % '{"$setElementOrder/containers":[{"name":"z"}],"containers":[{"name":"c","image":"x"}]}', 400, "The order in patch list"),
        ("a strategic patch: an order of words", dep, SMP, spec % '{"$setElementOrder/containers":"x"}', 400, "."),
        ("a strategic patch: retainKeys of words", dep, SMP, '{"spec":{"strategy":{"$retainKeys":"x"}}}', 400, "."),
        ("a strategic patch: deletions of words", dep, SMP, '{"metadata":{"$deleteFromPrimitiveList/finalizers":"x"}}', None, "."),
        ("a strategic patch that is a list", dep, SMP, "[]", 400, "."),
        ("a truncated strategic patch", dep, SMP, '{"spec":{', 400, "."),
        ("a patch that is invalid afterwards", dep, SMP, '{"spec":{"replicas":-1}}', 422, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        ("a patch that renames", one, MERGE, '{"metadata":{"name":"q"}}', 400, r"the name of the object \(q\) does not match the name on the URL \(p\)"),
        ("a patch of another kind", one, MERGE, '{"kind":"Secret"}', None, "."),
        ("a patch of another media type", one, {"Content-Type": "text/plain"}, "{}", 415, "."),
        ("a patch of plain JSON", one, JSON, "{}", 415, "."),
        ("a patch in protobuf", one, PB, GOOD_PB, 415, "."),
        ("server-side apply of garbage", one, {"Content-Type": "application/apply-patch+yaml"}, "a: [", None, "."),
        ("scale by a word", dep + "/scale", MERGE, '{"spec":{"replicas":"x"}}', 400, "cannot unmarshal string into Go struct field"),
        ("scale below zero", dep + "/scale", MERGE, '{"spec":{"replicas":-3}}', 422, "must be greater than or equal to 0"),
        ("a patch of a missing object", CM + "/nope", MERGE, "{}", 404, 'configmaps "nope" not found'),
        ("a stale resourceVersion", one, MERGE, '{"metadata":{"resourceVersion":"1"},"data":{"a":"z"}}', 409, "the object has been modified"),
        ("a resourceVersion that is none", one, MERGE, '{"metadata":{"resourceVersion":"x"},"data":{"a":"z"}}', None, "."),
        ("a uid that is another's", one, MERGE, '{"metadata":{"uid":"x"},"data":{"a":"z"}}', None, "."),
    ]
    for name, path, headers, body, status, text in rows:
        if status:
            api_row(name, "PATCH", path, body, headers, status, text)
        else:
            got, _, answer = api("PATCH", path, body, headers)
            check(name, got in (200, 400, 409, 413, 415, 422), f"{got} {answer}")
    api_row("a name that is no UTF-8", "GET", CM + "/%ff", None, {}, 404, 'configmaps "\ufffd" not found')
    api_row("a long name of wide letters", "GET", CM + "/a" + "%c3%a9" * 2000, None, {}, 404, 'configmaps "a\u00e9+')
    got, _, answer = api("GET", dep)
    check("no patch has scaled", json.loads(answer)["spec"]["replicas"] == 2, answer)
    got, _, answer = api("GET", one)
    check("nothing of it is stored", json.loads(answer).get("data") in ({"a": "b"}, None) and json.loads(answer)["metadata"]["name"] == "p", answer)


def queries():
    section("API server: selectors, pages, versions")
    rows = [
        ("a label selector of nothing but signs", "labelSelector=%3D%3D%3D", 400, "unable to parse requirement"),
        ("an open set", "labelSelector=a+in+(b", 400, "unable to parse requirement"),
        ("a label that is none", "labelSelector=-a%3Db", 400, "."),
        ("a value that is none", "labelSelector=a%3Db%20c", 400, "."),
        ("a selector with a NUL", "labelSelector=a%00", 400, "."),
        ("a selector that is no UTF-8", "labelSelector=%ff%fe", 400, "unable to parse requirement"),
        ("a field selector without a sign", "fieldSelector=abc", 400, "invalid selector: 'abc'; can't understand 'abc'"),
        ("a field that is none", "fieldSelector=spec.nope%3D1", 400, "field label not supported: spec.nope"),
        ("a field selector with a bad escape", "fieldSelector=metadata.name%3D%5Cx", 400, "invalid field selector: invalid escape sequence"),
        ("a limit that is a word", "limit=x", 400, r'parsing "x": invalid syntax'),
        ("a limit past 64 bits", "limit=99999999999999999999", 400, "."),
        ("a continue token of junk", "continue=%25%25%25&limit=1", 400, "continue key is not valid"),
        ("a continue token of JSON junk", "limit=1&continue=" + base64.urlsafe_b64encode(b'{"v":"x","rv":-5}').decode().rstrip("="), 400, "continue key is not valid"),
        ("a token from the future", "limit=1&continue=" + base64.urlsafe_b64encode(b'{"v":"meta.k8s.io/v1","rv":99999999,"ns":"default","start":"a"}').decode().rstrip("="), None, "."),
        ("a resourceVersion that is a word", "resourceVersion=x", 400, 'Invalid value: "x"'),
        ("a negative resourceVersion", "resourceVersion=-1", 400, "Invalid value"),
        ("a resourceVersion from the future", "resourceVersion=99999999", 504, "Too large resource version: 99999999, current: [0-9]+"),
        ("resourceVersionMatch of another word", "resourceVersionMatch=x&resourceVersion=1", 422, "resourceVersionMatch: Unsupported value"),
        ("resourceVersionMatch alone", "resourceVersionMatch=Exact", 422, "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ("a watch from a word", "watch=1&resourceVersion=x", 400, "."),
        ("a watch from the future", "watch=1&resourceVersion=99999999&timeoutSeconds=1", None, "."),
        ("timeoutSeconds of a word", "watch=1&timeoutSeconds=x", 400, "."),
        ("sendInitialEvents without a match", "watch=1&sendInitialEvents=true", 422, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        ("bad percent-encoding in the query", "labelSelector=%zz&limit=1", 400, "the request's query cannot be read"),
        ("a query without names", "&&&==&=&%3D", 200, "."),
        ("5,000 parameters", "&".join(f"a{i}=1" for i in range(5000)), 200, "."),
    ]
    for name, query, status, text in rows:
        if status:
            api_row(name, "GET", f"{CM}?{query}", None, {}, status, text)
        else:
            got, _, answer = api("GET", f"{CM}?{query}")
            check(name, got in (200, 400, 410, 504), f"{got} {answer}")
    long = "x" * 20000
    api_row("a selector of 20,000 characters", "GET", f"{CM}?labelSelector={long}", None, {}, 400, ".")
    api_row("a selector of 20,000 terms", "GET", f"{CM}?labelSelector={'a,' * 20000}b", None, {}, 400, ".")


def requests():
    section("API server: requests")
    rows = [
        ("a method that is none", "BREW", CM, {}, 405, "the server does not allow this method on the requested resource"),
        ("TRACE", "TRACE", CM, {}, 405, "."),
        ("PUT of a collection", "PUT", CM, JSON, 405, "."),
        ("POST of an object", "POST", CM + "/p", JSON, 405, "."),
        ("DELETE of a review", "DELETE", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}, (404, 405), "."),
        ("an unknown resource", "GET", "/api/v1/nopes", {}, 404, "the server could not find the requested resource"),
        ("an unknown group", "GET", "/apis/nope.io/v1/things", {}, 404, "404 page not found"),
        ("an unknown path", "GET", "/nope", {}, (403, 404), "."),
        ("an unknown subresource", "GET", CM + "/p/nope", {}, 404, "the server could not find the requested resource"),
        ("bad percent-encoding in the path", "GET", "/api/v1/namespaces/%zz/configmaps", {}, 400, "."),
        ("a NUL in the path", "GET", "/api/v1/namespaces/a%00b/configmaps", {}, (400, 404), "."),
        ("dots in the path", "GET", "/api/v1/../../etc/passwd", {}, (301, 400, 404), "."),
        ("encoded dots in the path", "GET", "/api/v1/namespaces/%2e%2e/configmaps/%2e%2e%2f%2e%2e", {}, (200, 400, 404), "."),
        ("200 segments", "GET", "/api/v1" + "/a" * 200, {}, (400, 404), "."),
        ("Accept of another type", "GET", CM, {"Accept": "text/csv"}, 406, "Available representations: application/json"),
        ("Accept of protobuf alone", "GET", CM, {"Accept": "application/vnd.kubernetes.protobuf"}, 406, "."),
        ("Accept of a Table that is none", "GET", CM, {"Accept": "application/json;as=Table;v=v9;g=meta.k8s.io"}, 406, "."),
        ("Accept of junk", "GET", CM, {"Accept": ";;;,,,=;q=x"}, 406, "."),
        ("a bearer token of junk", "GET", CM, {"Authorization": "Bearer a.b.c"}, (200, 401), "."),
        ("impersonation of nobody", "GET", CM, {"Impersonate-Group": "x"}, (400, 403, 500), "."),
        ("50 KiB of headers", "GET", CM, {f"X-{i}": "y" * 1000 for i in range(50)}, 200, "."),
        ("129 headers", "GET", CM, {f"X-{i}": "y" for i in range(129)}, 431, "."),
        ("70 KiB of headers", "GET", CM, {f"X-{i}": "y" * 1000 for i in range(70)}, 431, "."),
        ("a URL of 70 KiB", "GET", CM + "?a=" + "b" * 70000, {}, (414, 431), "."),
    ]
    for name, method, path, headers, status, text in rows:
        body = configmap("m") if method in ("PUT", "POST") else None
        if isinstance(status, int):
            api_row(name, method, path, body, headers, status, text)
        else:
            got, _, answer = api(method, path, body, headers)
            check(name, got in status, f"{got} {answer}")
    api_row("DeleteOptions that are none", "DELETE", CM + "/p", "{", JSON, 400, ".")
    api_row("a propagation that is none", "DELETE", CM + "/p", '{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Nope"}', JSON, 422, "Nope")
    api_row("preconditions of another", "DELETE", CM + "/p", '{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"x"}}', JSON, 409,
            "the UID in the precondition")
    api_row("a review of garbage", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "[]", JSON, 400, ".")
    api_row("a log of a missing pod", "GET", "/api/v1/namespaces/default/pods/nope/log", None, {}, 404, 'pods "nope" not found')
    api_row("an exec of a missing pod", "GET", "/api/v1/namespaces/default/pods/nope/exec?command=a", None, {}, (404), "not found")


def strangers():
    section("API server: who nobody is")
    anonymous = ssl.create_default_context(cafile=f"{WORK}/data/pki/ca.crt")
    for name, header, status, text in [
        ("no certificate and no token", b"", 403, b'User \\"system:anonymous\\" cannot list resource \\"configmaps\\" in API group \\"\\" in the namespace \\"default\\"'),
        ("a token of junk", b"Authorization: Bearer a.b.c\r\n", 401, b"Unauthorized"),
        ("a token that is no UTF-8", b"Authorization: Bearer \xff\xfe.\xff.\xff\r\n", 401, b"Unauthorized"),
        ("a token of 30,000 bytes", b"Authorization: Bearer " + b"a" * 30000 + b"\r\n", 401, b"Unauthorized"),
        ("a token that says it needs no signature", b"Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.\r\n", 401, b"Unauthorized"),
        ("impersonation without the right to", b"Impersonate-User: admin\r\n", 403, b"cannot impersonate resource"),
    ]:
        answers, _ = http1(API, b"GET " + CM.encode() + b" HTTP/1.1\r\nHost: a\r\n" + header + b"\r\n", anonymous)
        check(name, answers and answers[0][0] == status and text in answers[0][2], answers)


def deletions():
    section("API server: deletions of what cannot be read")
    before = api("GET", CM)[2]
    for query in ("labelSelector=%zz", "labelSelector=a%00", "labelSelector=(", "fieldSelector=nope%3D1", "fieldSelector=%"):
        status, _, data = api("DELETE", f"{CM}?{query}")
        check(f"DELETE ?{query}", status == 400, f"{status} {data}")
    check("nothing is deleted", len(json.loads(api("GET", CM)[2])["items"]) == len(json.loads(before)["items"]) > 0, before)


def run():
    for part in (bodies, protobuf, fields, patches, queries, requests, strangers, deletions):
        part()
        api_still_answers()
