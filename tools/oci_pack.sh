#!/bin/sh
# oci_pack.sh ROOT NAME OUT.tar COMMAND [ARG…] - packs a folder as a one-layer OCI image layout in a tar file
# (opencontainers/image-spec). The same input gives the same bytes: times are zero and names are sorted.
# ENV_VARS="A=b C=d", USER_ID=1000 and ENTRYPOINT="/program" in the environment go into the image's configuration.
set -eu
root=$1 name=$2 out=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
blobs=$work/l/blobs/sha256
mkdir -p "$blobs"

json_list() { # "a","b"
	sep=
	for item in "$@"; do
		printf '%s"%s"' "$sep" "$(printf %s "$item" | sed 's/[\\"]/\\&/g')"
		sep=,
	done
}

add_blob() { # FILE -> sets digest and size
	digest=$(sha256sum "$1" | cut -d' ' -f1)
	size=$(stat -c %s "$1")
	mv "$1" "$blobs/$digest"
}

pack() { # DIR OUT
	tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$2" .
}

case $(uname -m) in
x86_64) arch=amd64 ;;
aarch64) arch=arm64 ;;
*) arch=$(uname -m) ;;
esac

pack "$root" "$work/layer"
add_blob "$work/layer"
layer=$digest layer_size=$size
# shellcheck disable=SC2086
printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":[%s],"Cmd":[%s],"Env":[%s],"User":"%s","WorkingDir":"/"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
	"$arch" "$(json_list ${ENTRYPOINT:-})" "$(json_list "$@")" "$(json_list PATH=/usr/local/bin:/usr/bin:/bin:/sbin ${ENV_VARS:-})" "${USER_ID:-}" "$layer" > "$work/config"
add_blob "$work/config"
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%s}]}' \
	"$digest" "$size" "$layer" "$layer_size" > "$work/manifest"
add_blob "$work/manifest"
printf '{"imageLayoutVersion":"1.0.0"}' > "$work/l/oci-layout"
printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"io.containerd.image.name":"%s","org.opencontainers.image.ref.name":"%s"},"platform":{"architecture":"%s","os":"linux"}}]}' \
	"$digest" "$size" "$name" "${name##*:}" "$arch" > "$work/l/index.json"
mkdir -p "$(dirname "$out")"
pack "$work/l" "$out"
