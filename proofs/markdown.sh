# Sourced by proofs that write a table into a page of docs/.

# replace_between PAGE NAME FILE: puts FILE between the lines '<!-- begin NAME -->' and '<!-- end NAME -->' of PAGE.
replace_between() {
  local page=$1 begin="<!-- begin $2 -->" end="<!-- end $2 -->" table=$3
  grep -qxF "$begin" "$page" && grep -qxF "$end" "$page" || { say "$page lacks the markers of $2"; exit 1; }
  awk -v begin="$begin" -v end="$end" -v table="$table" '
    $0 == end { inside = 0 }
    !inside { print }
    $0 == begin { inside = 1; while ((getline line < table) > 0) print line }' "$page" > "$WORK/page.md"
  cat "$WORK/page.md" > "$page"
}

# conditions: one sentence that says where and on what a table was measured.
conditions() {
  say "Measured on $(date -u +%Y-%m-%d) at commit $(git rev-parse --short HEAD)$(git diff --quiet HEAD -- . ':!docs' || echo ' with uncommitted changes'), $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo), .NET $(dotnet --version)."
}
