#!/usr/bin/env python3
"""Sends one signed request, with Python's standard library alone:

    LATCHKEY_KEY=lk_live_… LATCHKEY_SIGNING_KEY=lk_sgn_… ./sign.py POST 'https://api.example.com/v1/plants?dry=1' '{"hello": "world"}'
"""

import base64
import hashlib
import hmac
import os
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

WITHOUT_BODY = {"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"}


def kid_of(key):
    """The public key id in a key."""
    return key[3:19] if key.startswith("sk-") else key.split("_")[2]


def signed_headers(key, signing_key, method, url, body=b""):
    """The headers that sign the request (RFC 9421, profile apikey-v1)."""
    parts = urllib.parse.urlsplit(url)
    authority = parts.netloc.lower()
    for scheme, port in (("https", ":443"), ("http", ":80")):
        if parts.scheme == scheme:
            authority = authority.removesuffix(port)
    covered = [
        ("@method", method),
        ("@authority", authority),
        ("@path", parts.path or "/"),
        ("@query", "?" + parts.query),
    ]
    headers = {"Host": authority, "Authorization": "Bearer " + key}
    if body or method not in WITHOUT_BODY:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers["Content-Digest"] = f"sha-256=:{digest}:"
        covered.append(("content-digest", headers["Content-Digest"]))
    names = " ".join(f'"{name}"' for name, _ in covered)
    parameters = (
        f"({names});created={int(time.time())};nonce=\"{secrets.token_hex(16)}\""
        f';keyid="{kid_of(key)}";tag="apikey-v1"'
    )
    base = "".join(f'"{name}": {value}\n' for name, value in covered)
    base += f'"@signature-params": {parameters}'
    value = hmac.digest(signing_key.encode(), base.encode(), "sha256")
    headers["Signature-Input"] = "sig1=" + parameters
    headers["Signature"] = f"sig1=:{base64.b64encode(value).decode()}:"
    return headers


def main():
    method, url = sys.argv[1:3]
    body = sys.argv[3].encode() if len(sys.argv) > 3 else b""
    headers = signed_headers(os.environ["LATCHKEY_KEY"], os.environ["LATCHKEY_SIGNING_KEY"], method, url, body)
    if body:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data=body or None, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        status, text = refused.code, refused.read()
    print(text.decode())
    print(status)


if __name__ == "__main__":
    main()
