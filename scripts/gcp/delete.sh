#!/usr/bin/env bash
# Tears down what create.sh made; what is gone already is passed over, so it may be run again.
#   delete.sh [--env FILE] [--dry-run] [--yes]
# Without --yes the database and the bucket stay: they hold the results.
#   --env FILE   the variables (fleet.env beside this script; see fleet.env.example)
#   --dry-run    print the commands of gcloud, and do nothing
#   --yes        delete the database and the bucket too: ALL RESULTS ARE LOST
#   -h, --help   this text
set -euo pipefail
# shellcheck source=scripts/gcp/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Deletes what is there; a dry run says what it would delete.
gone() { # command... with the word 'delete' in it
  local look=("${@/#delete/describe}")
  if [[ $dry_run == yes ]] || there "${look[@]}"; then cloud "$@"; fi
}

delete_workers() {
  step 'workers and other roles'
  gone compute instance-groups managed delete "$NAME" --zone="$ZONE"
  local template
  for template in $(value "$NAME-TEMPLATE" compute instance-templates list --filter="name ~ ^$NAME-[0-9a-f]{10}\$" --format='value(name)'); do
    gone compute instance-templates delete "$template"
  done
  gone compute instances delete "$NAME-roles" --zone="$ZONE"
  gone iam roles delete atmosFleetScaler --project="$PROJECT"
}

delete_redis() {
  step 'Redis'
  gone redis instances delete "$NAME" --region="$REGION"
  gone compute instances delete "$NAME-redis" --zone="$ZONE"
  local secret
  for secret in redis-url redis-authority redis-password; do gone secrets delete "$NAME-$secret"; done
}

delete_results() {
  if [[ $yes == no ]]; then
    step "Cloud SQL $NAME and gs://$BUCKET stay with their results, as do images, network and accounts; --yes deletes them"
    return
  fi
  step 'Cloud SQL and the bucket'
  if [[ $dry_run == yes ]] || there sql instances describe "$NAME"; then
    cloud sql instances patch "$NAME" --no-deletion-protection
    cloud sql instances delete "$NAME"
  fi
  if [[ $dry_run == yes ]] || there storage buckets describe "gs://$BUCKET"; then cloud storage rm --recursive "gs://$BUCKET"; fi
  gone artifacts repositories delete "$REPOSITORY" --location="$REGION"
}

delete_zone() { # name domain host
  gone dns record-sets delete "*.$2." --type=CNAME --zone="$NAME-$1"
  gone dns record-sets delete "$3." --type=A --zone="$NAME-$1"
  gone dns managed-zones delete "$NAME-$1"
}

delete_network() {
  # The private addresses of Cloud SQL lie in it.
  if [[ $yes == no ]]; then return; fi
  step 'network and service accounts'
  delete_zone googleapis googleapis.com private.googleapis.com
  delete_zone images pkg.dev pkg.dev
  gone compute firewall-rules delete "$NAME-ssh"
  gone compute firewall-rules delete "$NAME-redis"
  gone compute routers delete "$NAME" --region="$REGION"
  gone compute addresses delete "$NAME-services" --global
  gone compute networks subnets delete "$NAME" --region="$REGION"
  gone compute networks delete "$NAME"
  local one
  for one in "$account" "$worker_account" "$redis_account"; do gone iam service-accounts delete "$one"; done
}

parse_options "$@"
delete_workers
delete_redis
delete_results
delete_network
step 'done'
