#!/usr/bin/env bash
# What the machine of Redis does when it starts: installs Debian's Redis, with a password, an append-only file and no eviction.
#   --help   this text; it is not for running by hand
set -euo pipefail
if [[ ${1:-} == --help ]]; then
  sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "$0"
  exit 0
fi

readonly metadata=http://metadata.google.internal/computeMetadata/v1
ask() { curl --silent --fail --retry 5 --header 'Metadata-Flavor: Google' "$metadata/$1"; }

if [[ -z $(type -P redis-server) ]]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server
fi
token=$(ask instance/service-accounts/default/token | sed -E 's/.*"access_token":"([^"]+)".*/\1/')
secret=$(ask instance/attributes/fleet-name)-redis-password
password=$(curl --silent --fail --retry 5 --config - <<CURL | sed -E 's/.*"data": *"([^"]+)".*/\1/' | base64 --decode
url = "https://secretmanager.googleapis.com/v1/projects/$(ask project/project-id)/secrets/$secret/versions/latest:access"
header = "Authorization: Bearer $token"
CURL
)
install -o redis -g redis -m 640 /dev/null /etc/redis/fleet.conf
cat >/etc/redis/fleet.conf <<CONF
bind 0.0.0.0
requirepass $password
appendonly yes
maxmemory-policy noeviction
CONF
grep -q '^include /etc/redis/fleet.conf' /etc/redis/redis.conf || echo 'include /etc/redis/fleet.conf' >>/etc/redis/redis.conf
systemctl restart redis-server
