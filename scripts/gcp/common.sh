# shellcheck shell=bash
# For the scripts of this folder to source: options, the env file, and steps that may be repeated.

usage() { sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "$0"; }
fail() { printf '%s: %s\n' "${0##*/}" "$1" >&2; exit "${2:-1}"; }

dry_run=no
yes=no
env_file=$(dirname "${BASH_SOURCE[0]}")/fleet.env

# shellcheck disable=SC2034 # `yes` and the accounts are for the scripts that source this
parse_options() {
  while (($#)); do
    case $1 in
      --dry-run) dry_run=yes ;;
      --yes) yes=yes ;;
      --env) [[ $# -ge 2 ]] || fail '--env wants a file' 2; env_file=$2; shift ;;
      -h | --help) usage; exit 0 ;;
      *) fail "unknown argument '$1' (see --help)" 2 ;;
    esac
    shift
  done
  [[ -r $env_file ]] || fail "there is no $env_file: copy fleet.env.example, and fill it in" 2
  # shellcheck source=scripts/gcp/fleet.env.example
  source "$env_file"
  local name
  for name in PROJECT REGION ZONE NAME FLEET_IMAGE WORKER_IMAGE WORKERS SLOTS MACHINE_TYPE DISK_GB REDIS REDIS_GB SQL_TIER DATABASE REPOSITORY BUCKET PREFIX CONFIG; do
    [[ -n ${!name:-} ]] || fail "$env_file: $name is missing" 2
  done
  [[ $REDIS == memorystore || $REDIS == vm ]] || fail "$env_file: REDIS is '$REDIS', wants memorystore or vm" 2
  [[ $NAME =~ ^[a-z][a-z0-9-]{0,20}$ ]] || fail "$env_file: NAME is '$NAME', wants up to 21 letters, digits and -, a letter first" 2
  [[ $WORKERS =~ ^[0-9]+$ && $SLOTS =~ ^[1-9][0-9]*$ ]] || fail "$env_file: WORKERS and SLOTS want whole numbers" 2
  [[ $PREFIX =~ ^[A-Za-z0-9][A-Za-z0-9_./-]*$ && $PREFIX != *..* ]] || fail "$env_file: PREFIX is '$PREFIX', wants a folder's path in the bucket" 2
  for name in FLEET_IMAGE WORKER_IMAGE; do
    [[ ${!name} == *-docker.pkg.dev/*/*/* ]] ||
      fail "$env_file: $name is '${!name}', wants REGION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE (gcr.io was shut down in 2025)" 2
  done
  [[ $CONFIG == /* ]] || CONFIG=$(dirname "$env_file")/$CONFIG
  [[ -r $CONFIG ]] || fail "$env_file: CONFIG names $CONFIG, which is not there" 2
  local domain=$PROJECT.iam.gserviceaccount.com
  account=ultron@$domain worker_account=ultron-worker@$domain redis_account=ultron-redis@$domain
  [[ $dry_run == yes ]] || command -v gcloud >/dev/null || fail 'gcloud is needed: https://cloud.google.com/sdk/docs/install'
}

# Runs a command of gcloud's; a dry run only says it.
cloud() {
  if [[ $dry_run == yes ]]; then
    printf 'gcloud --project %q --quiet' "$PROJECT"
    printf ' %q' "$@"
    printf '\n'
    return
  fi
  gcloud --project "$PROJECT" --quiet "$@"
}

# As `cloud`, for what answers with long lists of no interest.
grant() { if [[ $dry_run == yes ]]; then cloud "$@"; else cloud "$@" >/dev/null; fi; }

# Whether something is there already. In a dry run nothing is asked, and nothing counts as there.
there() { [[ $dry_run == no ]] && gcloud --project "$PROJECT" --quiet "$@" >/dev/null 2>&1; }

step() { printf '== %s\n' "$*" >&2; }

# Answers a value that gcloud tells; in a dry run the word in capitals that stands for it.
value() { # WORD, command...
  local word=$1
  shift
  if [[ $dry_run == yes ]]; then printf '%s' "$word"; else gcloud --project "$PROJECT" --quiet "$@"; fi
}

# Stores standard input as the newest version of a secret that these accounts may read, unless that is what it holds. It never is an argument.
store_secret() { # name account...
  local secret=$1 text reader
  shift
  text=$(cat)
  there secrets describe "$secret" || cloud secrets create "$secret" --replication-policy=automatic
  for reader in "$@"; do
    grant secrets add-iam-policy-binding "$secret" --member="serviceAccount:$reader" --role=roles/secretmanager.secretAccessor
  done
  if [[ $dry_run == yes ]]; then
    printf 'gcloud --project %q --quiet secrets versions add %q --data-file=-\n' "$PROJECT" "$secret"
    return
  fi
  [[ $(gcloud --project "$PROJECT" --quiet secrets versions access latest --secret="$secret" 2>/dev/null) == "$text" ]] ||
    printf '%s' "$text" | gcloud --project "$PROJECT" --quiet secrets versions add "$secret" --data-file=- >/dev/null
}
