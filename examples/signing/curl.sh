#!/bin/sh
# Sends one signed request, with curl and openssl:
#
#   LATCHKEY_KEY=lk_live_… LATCHKEY_SIGNING_KEY=lk_sgn_… ./curl.sh POST 'https://api.example.com/v1/plants?dry=1' '{"hello": "world"}'
#
# With LATCHKEY_PRIVATE_KEY, the file of an Ed25519 key in PEM, it signs with that.
# Prefer it where others share the machine: openssl takes the signing key as an
# argument, and arguments can be seen in the list of processes.
set -eu
method=$1 url=$2 body=${3-}

case $LATCHKEY_KEY in
sk-*) kid=$(printf %.16s "${LATCHKEY_KEY#sk-}") ;;
*) kid=$(printf %s "$LATCHKEY_KEY" | cut -d_ -f3) ;;
esac

# The parts of the address, as they are sent.
scheme=${url%%://*}
rest=${url#*://}
authority=$(printf %s "${rest%%[/?]*}" | tr 'A-Z' 'a-z')
[ "$scheme" != https ] || authority=${authority%:443}
[ "$scheme" != http ] || authority=${authority%:80}
target=${rest#"${rest%%[/?]*}"}
query=${target#"${target%%\?*}"}
path=${target%%\?*}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf %s "$body" >"$work/body"

components='"@method" "@authority" "@path" "@query"'
{
	printf '"@method": %s\n' "$method"
	printf '"@authority": %s\n' "$authority"
	printf '"@path": %s\n' "${path:-/}"
	printf '"@query": %s\n' "${query:-?}"
} >"$work/base"
digest=
case $method in
GET | HEAD | DELETE | OPTIONS | TRACE) [ -z "$body" ] || digest=wanted ;;
*) digest=wanted ;;
esac
if [ -n "$digest" ]; then
	digest="sha-256=:$(openssl dgst -sha256 -binary "$work/body" | openssl base64 -A):"
	components="$components \"content-digest\""
	printf '"content-digest": %s\n' "$digest" >>"$work/base"
fi
parameters="($components);created=$(date +%s);nonce=\"$(openssl rand -hex 16)\";keyid=\"$kid\";tag=\"apikey-v1\""
printf '"@signature-params": %s' "$parameters" >>"$work/base"

if [ -n "${LATCHKEY_PRIVATE_KEY-}" ]; then
	openssl pkeyutl -sign -rawin -inkey "$LATCHKEY_PRIVATE_KEY" -in "$work/base" -out "$work/signature"
else
	openssl dgst -sha256 -hmac "$LATCHKEY_SIGNING_KEY" -binary -out "$work/signature" "$work/base"
fi

# The key goes to curl through its standard input, where nobody sees it.
set -- --silent --show-error --request "$method" --header "Signature-Input: sig1=$parameters" \
	--header "Signature: sig1=:$(openssl base64 -A -in "$work/signature"):" --write-out '\n%{http_code}\n'
[ -z "$digest" ] || set -- "$@" --header "Content-Digest: $digest"
[ -z "$body" ] || set -- "$@" --data-binary "@$work/body" --header 'Content-Type: application/json'
printf 'header = "Authorization: Bearer %s"\n' "$LATCHKEY_KEY" | curl --config - "$@" "$url"
