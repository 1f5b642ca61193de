#!/usr/bin/env bash
# Builds the console into console/dist, where cargo finds it; does nothing where it is built of these sources.
# `--if-possible` goes on without a console where node is missing: the server then says so at `/`.
set -euo pipefail
cd "$(dirname "$0")/../.."
CACHE="${PALISADE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/palisade/test}/console"

stop() {
  printf 'console: %s\n' "$*" >&2
  [[ "${OPTION:-}" == --if-possible ]] || exit 1
  printf 'console: going on without it\n' >&2
  exit 0
}
OPTION="${1:-}"

sources() {
  find console \( -name node_modules -o -name dist \) -prune -o -type f ! -name .built \
    ! -path console/src/api/schema.ts -print
  echo openapi/palisade.json
}
want="$(sources | LC_ALL=C sort | tr '\n' '\0' | xargs -0 sha256sum | sha256sum | cut -c1-24)"
[[ -f console/dist/index.html && "$(cat console/.built 2>/dev/null)" == "$want" ]] && exit 0

if [[ ! -d "$CACHE/$want" ]]; then
  command -v npm >/dev/null || stop "npm is missing: install Node 20.19 or newer from https://nodejs.org"
  node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
    stop "node $(node --version) is too old: install 20.19 or newer from https://nodejs.org"
  # Built beside the sources' copy, so that what npm brings stays out of the work tree.
  work="$CACHE/work"
  lock="$(sha256sum console/package-lock.json console/package.json | sha256sum | cut -c1-24)"
  mkdir -p "$work/console" "$work/openapi"
  find "$work/console" -mindepth 1 -maxdepth 1 ! -name node_modules ! -name .npm-ready -exec rm -rf {} +
  sources | grep '^console/' | tar -cf - -T - | tar -xf - -C "$work"
  cp openapi/palisade.json "$work/openapi/"
  if [[ "$(cat "$work/console/.npm-ready" 2>/dev/null)" != "$lock" ]]; then
    (cd "$work/console" && npm ci --silent --no-audit --no-fund) || stop "npm could not install what the console needs"
    echo "$lock" >"$work/console/.npm-ready"
  fi
  (cd "$work/console" && npm run --silent build) >"$CACHE/build.log" 2>&1 ||
    { cat "$CACHE/build.log" >&2; stop "the console does not build"; }
  # Only the newest few are kept.
  find "$CACHE" -mindepth 1 -maxdepth 1 -type d ! -name work -printf '%T@ %p\n' | sort -rn | tail -n +4 |
    cut -d' ' -f2- | xargs -r rm -rf
  rm -rf "$CACHE/new" && cp -pr "$work/console/dist" "$CACHE/new" && mv "$CACHE/new" "$CACHE/$want"
fi
rm -rf console/dist
cp -pr "$CACHE/$want" console/dist
echo "$want" >console/.built
