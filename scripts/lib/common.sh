# shellcheck shell=bash
# Sourced by every script: where the tree is, and a path on which Debian's own python3 comes first.
# A python3 of pyenv or a virtual environment would not see Debian's pytest.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
OPA_VERSION=1.22.2
# shellcheck disable=SC2034  # used by scripts/setup
GO_FALLBACK=golang-1.23-go

export PATH="/usr/sbin:/usr/bin:/sbin:/bin:${PATH:-/usr/local/bin}:/usr/local/sbin:/usr/local/bin:/usr/local/go/bin:/usr/lib/go-1.23/bin"
export HOME="${HOME:-/root}"
export LC_ALL=C.UTF-8
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0="$REPO"
export PYTHONDONTWRITEBYTECODE=1
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
# A proxy or a CA bundle of the caller's would be used by the clients under test.
# shellcheck disable=SC2034
CLIENT_ENV_UNSET=(http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR)

# OPA as it should run beside Warder: it answers what Warder asks, to its own user, and nothing else
# (rego/opa.yaml, rego/system).
# shellcheck disable=SC2034
OPA_KEPT_SAFE=(--config-file "$REPO/rego/opa.yaml" --authorization basic --unix-socket-perm 600 "$REPO/rego/system")

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# package_list FILE...: the packages named there, without comments.
package_list() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$@" | awk '{print $1}' | sort -u; }

opa_is_right() { [ "$(opa version 2>/dev/null | sed -n 's/^Version: *//p')" = "$OPA_VERSION" ]; }

# The mirror this machine takes bookworm from, as apt itself reads its configuration, whatever the format.
# Other archives have suites of that name: Debian's is the one with bookworm-updates too, or called debian.
mirror() {
  apt-get update --print-uris 2>/dev/null | tr -d "'" | awk '
    match($1, /\/dists\/(bookworm|stable|oldstable)\/main\/binary-/) { uri = substr($1, 1, RSTART - 1); if (!(uri in rank)) { order[++n] = uri; rank[uri] = uri ~ /\/debian$/ } }
    match($1, /\/dists\/(bookworm|stable|oldstable)-updates\//) { updates[substr($1, 1, RSTART - 1)] = 1 }
    END { for (i = 1; i <= n; i++) { r = rank[order[i]] + 2 * (order[i] in updates); if (r > best || best == "") { best = r; found = order[i] } } print found }'
}

need_root() { [ "$(id -u)" = 0 ] || die "needs root: network namespaces and other users' /proc/<pid>/fd are read"; }

# Sanitizers of g++ 12 and clang 14 lose their shadow memory to kernels that randomise more address bits
# than they knew of, so what they instrument runs without. Where a container forbids that, run as it is.
without_aslr() {
  if setarch -R true 2> /dev/null; then setarch -R "$@"; else "$@"; fi
}

# System tests of one build: network namespaces, iptables, real clients, real OPA.
system_tests() {
  need_root
  local preset=$1
  shift
  local -a unset_args=()
  local name
  for name in "${CLIENT_ENV_UNSET[@]}"; do unset_args+=(-u "$name"); done
  without_aslr env "${unset_args[@]}" WARDER="$REPO/build/$preset/warder" WARDER_NO_SKIPS=1 \
    /usr/bin/python3 -m pytest -p no:cacheprovider -ra --tb=short --timeout=180 "$REPO/tests/system" "$@"
}

# ctest counts a skipped test as passed. Here everything a test needs is installed, so one that was
# skipped is one that did not do its work.
unit_and_component_tests() {
  local log status=0
  log=$(mktemp)
  without_aslr ctest --test-dir "$REPO/build/$1" -j"$(nproc)" --output-on-failure --no-tests=error "${@:2}" | tee "$log" || status=$?
  ! grep -qE '\*\*\*(Skipped|Not Run)' "$log" || { status=1; say "tests were skipped, see above"; }
  rm -f "$log"
  return "$status"
}
