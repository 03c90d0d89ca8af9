#!/usr/bin/env bash
# What a machine of the fleet does when it starts: installs Docker, and runs either worker slots, until the search is over or the
# kill switch is pulled; or the other roles, and then empties the group of workers when that has come. Settings are its metadata; see create.sh.
#   --help   this text; it is not for running by hand
set -euo pipefail
if [[ ${1:-} == --help ]]; then
  sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "$0"
  exit 0
fi

readonly metadata=http://metadata.google.internal/computeMetadata/v1
readonly folder=${FLEET_FOLDER:-/etc/atmos-fleet}

ask() { curl --silent --fail --retry 5 --header 'Metadata-Flavor: Google' "$metadata/$1"; }
setting() { ask "instance/attributes/$1"; }
token() { ask instance/service-accounts/default/token | sed -E 's/.*"access_token":"([^"]+)".*/\1/'; }

# Prints a secret. The token goes by standard input: arguments are seen by all.
secret() {
  curl --silent --fail --retry 5 --config - <<CURL | sed -E 's/.*"data": *"([^"]+)".*/\1/' | base64 --decode
url = "https://secretmanager.googleapis.com/v1/projects/$project/secrets/$1/versions/latest:access"
header = "Authorization: Bearer $(token)"
CURL
}

install_docker() {
  [[ -n $(type -P docker) ]] && return
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io ca-certificates
}

write_settings() {
  install -d -m 755 "$folder"
  setting fleet-config >"$folder/atmos-fleet.yaml"
  (umask 077 && secret "$name-redis-url" >"$folder/redis-url")
  chown 1000 "$folder/redis-url"
  if [[ $(setting fleet-redis) == memorystore ]]; then secret "$name-redis-authority" >"$folder/redis-authority.pem"; fi
}

readonly confined=(--init --read-only --tmpfs '/tmp:exec,mode=1777' --cap-drop ALL
  --security-opt no-new-privileges --stop-timeout 20 --log-driver gcplogs --volume "$folder:/etc/atmos-fleet:ro"
  --env REDIS_URL_FILE=/etc/atmos-fleet/redis-url)

log_in() { token | docker login --username oauth2accesstoken --password-stdin "https://${image%%/*}"; }

# What runs in containers here, simulators too, reaches Redis, Google's services (Private Google Access), names, and the metadata
# server, whose tokens are of an account that may do what the worker does; not this machine, nor anything else.
confine_containers() {
  local address
  address=$(sed -E 's|^[^:]+://([^@]*@)?([^/?]+).*|\2|' "$folder/redis-url")
  iptables --wait --new-chain FLEET 2>/dev/null || iptables --wait --flush FLEET
  local allow=(iptables --wait --append FLEET --jump RETURN)
  "${allow[@]}" --match conntrack --ctstate ESTABLISHED,RELATED
  "${allow[@]}" --destination "${address%:*}" --protocol tcp --dport "${address##*:}"
  "${allow[@]}" --destination 199.36.153.8/30 --protocol tcp --dport 443
  "${allow[@]}" --destination 169.254.169.254 --protocol tcp --dport 80
  "${allow[@]}" --destination 169.254.169.254 --protocol udp --dport 53
  "${allow[@]}" --destination 169.254.169.254 --protocol tcp --dport 53
  iptables --wait --append FLEET --jump DROP
  iptables --wait --check DOCKER-USER --jump FLEET 2>/dev/null || iptables --wait --insert DOCKER-USER --jump FLEET
  local input=(INPUT --in-interface docker0 --jump DROP)
  iptables --wait --check "${input[@]}" 2>/dev/null || iptables --wait --insert "${input[@]}"
}

run_slots() {
  log_in || return
  docker rm --force worker >/dev/null 2>&1 || true
  # Spot machines have 30 s from the notice: 20 to give points back leave some for the system.
  docker run --name worker "${confined[@]}" --env ATMOS_FLEET_METRICS_PORT=127.0.0.1:9464 \
    "$image" worker --exit-when-done --concurrency "$(setting fleet-slots)"
}

# Each role has a port of its own for its health. After the kill switch they end with status 0, and stay so.
run_roles() { # database
  log_in || return
  docker rm --force master client dashboard >/dev/null 2>&1 || true
  local options=("${confined[@]}" --network host --detach --restart on-failure --env "DATABASE_URL=$1")
  docker run --name master "${options[@]}" --env ATMOS_FLEET_METRICS_PORT=127.0.0.1:9464 "$image" sql-client-master || return
  docker run --name client "${options[@]}" --env ATMOS_FLEET_METRICS_PORT=127.0.0.1:9465 "$image" sql-client -c || return
  docker run --name dashboard "${options[@]}" --no-healthcheck "$image" dashboard
}

# Whether the search is over, or the kill switch is on, and no worker runs any more.
is_over() { # database
  local status
  status=$(docker run --rm "${confined[@]}" --network host --no-healthcheck --env "DATABASE_URL=$1" "$image" status --json) || return
  grep -qE '"(done|killed)":true' <<<"$status" && grep -qE '"workers":0[,}]' <<<"$status"
}

empty_group() {
  local zone
  zone=$(ask instance/zone)
  curl --silent --fail --retry 5 --request POST --config - <<CURL
url = "https://compute.googleapis.com/compute/v1/projects/$project/zones/${zone##*/}/instanceGroupManagers/$name/resize?size=0"
header = "Authorization: Bearer $(token)"
header = "Content-Length: 0"
CURL
}

# Once each time that it is over: what create.sh starts afterwards, for more, stays.
watch_end() { # database
  local emptied=no
  while sleep 60; do
    if ! is_over "$1"; then
      emptied=no
    elif [[ $emptied == no ]] && empty_group; then
      emptied=yes
    fi
  done
}

project=$(ask project/project-id)
name=$(setting fleet-name)
image=$(setting fleet-image)
install_docker
write_settings
if database=$(setting fleet-database); then
  # The images may be pushed later than the machine is made.
  until run_roles "$database"; do sleep 10; done
  watch_end "$database"
fi
confine_containers
trap 'docker stop worker >/dev/null 2>&1' TERM
# Status 0: the search is over, or the kill switch is on. Whatever else ended the worker, it is started again.
until run_slots; do sleep 10; done
