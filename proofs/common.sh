# Shared by the proof scripts; sourced, not run. Each script shows one line of an issue's 'Shown by':
#   proofs/<issue>-<line> [--seed N]
# It prints what it runs, then the lines TARGET, MEASURED and RESULT, and exits 0 (shown), 1 (missed) or 3 (a peer is absent).
set -euo pipefail
# Mounts of its own, where the system permits it: two proofs at a time do not see each other's, and none outlives its proof.
if [ -z "${PROOF_MOUNTS:-}" ] && unshare --mount true 2> /dev/null; then PROOF_MOUNTS=own exec unshare --mount "$0" "$@"; fi
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
SEED=$(( (RANDOM << 15) | RANDOM ))
while [ $# -gt 0 ]; do
  case $1 in
    --seed) SEED=$2; shift 2 ;;
    *) echo "usage: $0 [--seed N]" >&2; exit 2 ;;
  esac
done
WORK=$(mktemp -d "${PROOF_TMP:-${TMPDIR:-/tmp}}/bitsmith-proof-XXXXXX")
CLEANUP=()
cleanup() {
  for command in ${CLEANUP[@]+"${CLEANUP[@]}"}; do eval "$command" || true; done
  rm -rf "$WORK"
}
trap cleanup EXIT

say() { printf '%s\n' "$*"; }

# title TEXT: what is shown, and under which conditions.
title() {
  say "PROOF $(basename "$0"): $1"
  say "commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)$(git diff --quiet HEAD -- . ':!docs' 2>/dev/null || echo ' with uncommitted changes')"
  say "seed $SEED"
  say "machine $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo), .NET $(dotnet --version)"
}

# conclude TARGET MEASURED CONDITION: the verdict; CONDITION is a shell test that holds when the target is reached.
conclude() {
  say "TARGET $1"
  say "MEASURED $2"
  if eval "$3"; then say "RESULT shown"; else say "RESULT missed"; exit 1; fi
}

absent() {
  say "RESULT absent: $1"
  exit 3
}

# Publishes the command into artifacts/bitsmith and sets BITSMITH.
build_bitsmith() {
  dotnet publish src/Bitsmith.Cli -c Release -o artifacts/bitsmith -v quiet --nologo > "$WORK/publish.log" 2>&1 || { cat "$WORK/publish.log"; exit 1; }
  BITSMITH=$ROOT/artifacts/bitsmith/bitsmith
}

# The real libraries live in a root of their own, $PEERS (default: peers in the temporary folder). Makes $1 visible there as $2.
PEERS=${PEERS:-${TMPDIR:-/tmp}/peers}
need_peers() {
  [ -e "$PEERS/.ready" ] || absent "no peers in $PEERS (transformers, compressed-tensors, llama.cpp); set PEERS to their root"
}
bind_peer() {
  mkdir -p "$PEERS$2"
  mount --bind "$1" "$PEERS$2"
  CLEANUP+=("umount '$PEERS$2'")
}
in_peers() { chroot "$PEERS" "$@"; }
