#!/usr/bin/env bash
# Makes an authority of one's own and certificates for NATS servers, the HTTP API and its clients.
#
#   certs.sh DIR server NAME HOST…      DIR/NAME.crt and .key for a server at these names and addresses
#   certs.sh DIR client USER [GROUP…]   DIR/USER.crt and .key: the common name is the user, organizations are groups
#
# The authority (DIR/ca.crt, DIR/ca.key) is made the first time, and used from then on. Keep ca.key off the servers: whoever
# has it can be anybody.
set -euo pipefail
umask 077

usage() {
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

authority() {
  [ -s "$dir/ca.key" ] && [ -s "$dir/ca.crt" ] && return
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -sha256 \
    -subj "/CN=Stint authority" -addext "basicConstraints=critical,CA:TRUE" \
    -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$dir/ca.key" -out "$dir/ca.crt.new" 2>/dev/null
  mv "$dir/ca.crt.new" "$dir/ca.crt"
}

# name, subject, extensions
issue() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 \
    -subj "$2" -keyout "$dir/$1.key" -out "$dir/$1.csr" 2>/dev/null
  openssl x509 -req -in "$dir/$1.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAcreateserial \
    -days 825 -sha256 -extfile <(printf '%s\n' "$3") -out "$dir/$1.crt.new" 2>/dev/null
  rm "$dir/$1.csr"
  mv "$dir/$1.crt.new" "$dir/$1.crt"
  chmod 644 "$dir/$1.crt" "$dir/ca.crt"
  echo "$dir/$1.crt"
}

[ $# -ge 3 ] || usage
command -v openssl >/dev/null || { echo "certs.sh: openssl is not installed: apt-get install openssl" >&2; exit 2; }
dir=$1 kind=$2 name=$3
shift 3
mkdir -p "$dir"
authority

case $kind in
server)
  [ $# -ge 1 ] || usage
  names=""
  for host in "$@"; do
    # An address is not a name: clients look for it in another place.
    if [[ $host =~ ^[0-9.]+$ || $host == *:* ]]; then names+=",IP:$host"; else names+=",DNS:$host"; fi
  done
  # A NATS server is a client of the others of its cluster, too.
  issue "$name" "/CN=$name" "subjectAltName=${names#,}
extendedKeyUsage=serverAuth,clientAuth"
  ;;
client)
  subject="/CN=$name"
  for group in "$@"; do subject+="/O=$group"; done
  issue "$name" "$subject" "extendedKeyUsage=clientAuth"
  ;;
*) usage ;;
esac
