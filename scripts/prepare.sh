# shellcheck shell=bash
# For the other scripts to source, from the repository's root: installs what a machine lacks, and no more.

# Says what is missing and how to get it, and ends the script.
give_up() {
  printf '%s\n' "$*" >&2
  exit 1
}

need_node() {
  local wanted='Node.js 20.19 or newer is needed: see https://nodejs.org/en/download'
  [[ -n $(type -P node) && -n $(type -P npm) ]] || give_up "$wanted"
  node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
    give_up "$wanted. Here is $(node --version)."
}

# need_program PROGRAM PACKAGE...: installs Debian packages unless the program is there.
need_program() {
  local program=$1
  shift
  PATH=$PATH:/usr/sbin:/usr/local/sbin type -P "$program" > /dev/null && return
  [[ -n $(type -P apt-get) ]] ||
    give_up "$program is needed, and this system has no apt-get: install it by the system's own means" \
      "(Debian calls it $*; Homebrew and Fedora have redis and mariadb) so that $program is on the PATH."
  local as_root=()
  if ((EUID != 0)); then
    [[ -n $(type -P sudo) ]] || give_up "$program is needed: run 'apt-get install $*' as root."
    as_root=(sudo)
  fi
  echo "Installing $* ..."
  "${as_root[@]}" apt-get update -q -o DPkg::Lock::Timeout=300 ||
    echo 'apt-get update failed: trying with the package lists that are there.' >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -yq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" ||
    give_up "$program is needed, and installing $* failed."
}

# Installs the npm packages unless those of the lock file are there.
need_npm_packages() {
  [[ node_modules/.package-lock.json -nt package-lock.json ]] && return
  echo 'Installing npm packages (a minute: on Node 20, better-sqlite3 may have to be compiled) ...'
  JOBS=max npm_config_loglevel=error npm ci --no-fund --no-audit ||
    give_up "'npm ci' failed."
}

# Builds dist/ unless it is newer than all that it is made of.
need_build() {
  local newer
  [[ -e dist/bin/atmos-fleet.js ]] &&
    newer=$(find src scripts/build.mjs package-lock.json tsconfig*.json -newer dist/bin/atmos-fleet.js -print -quit) &&
    [[ -z $newer ]] && return
  node scripts/build.mjs
}
