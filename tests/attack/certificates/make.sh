#!/usr/bin/env bash
# Makes the certificates of the tests anew: an authority, a server of it for hq.invalid, and the same
# server when its time is over. They last until 2126 and open nothing; the keys are no secrets.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/index"
cat >"$work/ca.conf" <<CONF
[ca]
default_ca = here
[here]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:hq.invalid, IP:127.0.0.1
CONF
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
sign() { # name, section, first day, last day, and who signs
  openssl ca -batch -notext -config "$work/ca.conf" -extensions "$2" -startdate "$3" -enddate "$4" \
    -in "$work/$1.csr" -out "$work/$1.crt" "${@:5}"
}
key "$work/authority.key"
openssl req -new -key "$work/authority.key" -subj "/CN=Test Corporation Root" -out "$work/authority.csr"
sign authority authority 20200101000000Z 21260101000000Z -selfsign -keyfile "$work/authority.key"
for name in server expired; do
  key "$work/$name.key"
  openssl req -new -key "$work/$name.key" -subj "/CN=hq.invalid" -out "$work/$name.csr"
  last=21260101000000Z
  if [ $name = expired ]; then last=20210101000000Z; fi
  sign $name server 20200101000000Z $last -cert "$work/authority.crt" -keyfile "$work/authority.key"
  cat "$work/$name.crt" "$work/$name.key" >"$name.pem"
done
cp "$work/authority.crt" authority.pem
