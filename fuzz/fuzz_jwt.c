#include "codec/jx.h"
#include "roles/ingress/filter/jwt.h"

/* RFC 8037, A.2, and a P-256 key: RFC 7515, A.3 */
static const char keys_text[] =
	"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
	"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

static void claims(struct str text)
{
	static char a[] = "api", *audiences[] = {a};
	struct jwt_rules r = {"me", audiences, 1, 1000};
	struct err e;
	json_t *v = jx_parse(text, JWT_BYTES_MAX, &e);

	if (v && jwt_check(v, &r, &e) == 0)
		assert(json_is_object(v));
	json_decref(v);
}

/* The first byte: a token, a key set, or claims. Nothing that is found here can be signed rightly. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct jwks *keys;
	struct err e;

	if (!keys)
		keys = jwks_new(str_of(keys_text), &e);
	if (size == 0)
		return 0;
	struct str text = {(const char *)data + 1, size - 1};
	if (data[0] % 3 == 0) {
		json_t *v = bearer_verify(keys, text, &e);
		/* RFC 8037's own example is the one that can be found in the corpus. */
		assert(!v || json_is_object(v));
		json_decref(v);
	} else if (data[0] % 3 == 1) {
		struct jwks *k = jwks_new(text, &e);
		assert(!k || (jwks_count(k) > 0 && jwks_count(k) <= JWKS_KEYS_MAX));
		jwks_free(k);
	} else {
		claims(text);
	}
	return 0;
}
