#!/usr/bin/env bash
# Makes what a fleet needs on Google Cloud, step by step; what is there already is left as it is, so it may be run again.
#   create.sh [--env FILE] [--dry-run]
# A network with a way out and none in, the service account ultron with least roles, the bucket, Cloud SQL with login by IAM,
# Redis (Memorystore or a machine), secrets with the addresses, a small machine for the other roles, and a managed group of Spot machines that run workers.
#   --env FILE   the variables (fleet.env beside this script; see fleet.env.example)
#   --dry-run    print the commands of gcloud, and do nothing
#   -h, --help   this text
set -euo pipefail
# shellcheck source=scripts/gcp/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

enable_services() {
  step 'services of Google'
  cloud services enable compute.googleapis.com redis.googleapis.com sqladmin.googleapis.com secretmanager.googleapis.com \
    servicenetworking.googleapis.com storage.googleapis.com
}

make_network() {
  step "network $NAME"
  there compute networks describe "$NAME" || cloud compute networks create "$NAME" --subnet-mode=custom
  there compute networks subnets describe "$NAME" --region="$REGION" ||
    cloud compute networks subnets create "$NAME" --network="$NAME" --region="$REGION" --range=10.10.0.0/20 \
      --enable-private-ip-google-access
  there compute routers describe "$NAME" --region="$REGION" ||
    cloud compute routers create "$NAME" --network="$NAME" --region="$REGION"
  there compute routers nats describe "$NAME" --router="$NAME" --region="$REGION" ||
    cloud compute routers nats create "$NAME" --router="$NAME" --region="$REGION" --auto-allocate-nat-external-ips \
      --nat-all-subnet-ip-ranges
  # Nothing comes in but by Google's own tunnel (gcloud compute ssh --tunnel-through-iap), and Redis from the workers.
  there compute firewall-rules describe "$NAME-ssh" ||
    cloud compute firewall-rules create "$NAME-ssh" --network="$NAME" --source-ranges=35.235.240.0/20 --allow=tcp:22
  there compute firewall-rules describe "$NAME-redis" ||
    cloud compute firewall-rules create "$NAME-redis" --network="$NAME" --source-service-accounts="$account" \
      --target-service-accounts="$account" --allow=tcp:6379
  there compute addresses describe "$NAME-services" --global ||
    cloud compute addresses create "$NAME-services" --global --purpose=VPC_PEERING --prefix-length=20 --network="$NAME"
  cloud services vpc-peerings update --service=servicenetworking.googleapis.com --ranges="$NAME-services" \
    --network="$NAME" --force
}

make_account() {
  step "service account $account"
  there iam service-accounts describe "$account" ||
    cloud iam service-accounts create ultron --display-name='atmos-fleet: roles and workers'
  local role
  # To log in to Cloud SQL, and to write logs and metrics: of the whole project that is all.
  for role in roles/cloudsql.client roles/cloudsql.instanceUser roles/logging.logWriter roles/monitoring.metricWriter; do
    grant projects add-iam-policy-binding "$PROJECT" --member="serviceAccount:$account" --role="$role" --condition=None
  done
}

make_bucket() {
  step "bucket gs://$BUCKET"
  there storage buckets describe "gs://$BUCKET" ||
    cloud storage buckets create "gs://$BUCKET" --location="$REGION" --uniform-bucket-level-access --public-access-prevention
  grant storage buckets add-iam-policy-binding "gs://$BUCKET" --member="serviceAccount:$account" \
    --role=roles/storage.objectUser
}

make_database() {
  step "Cloud SQL $NAME"
  there sql instances describe "$NAME" ||
    cloud sql instances create "$NAME" --database-version=MYSQL_8_4 --edition=enterprise --tier="$SQL_TIER" \
      --region="$REGION" --network="projects/$PROJECT/global/networks/$NAME" --no-assign-ip \
      --database-flags=cloudsql_iam_authentication=on --backup --enable-bin-log --deletion-protection
  there sql databases describe "$DATABASE" --instance="$NAME" ||
    cloud sql databases create "$DATABASE" --instance="$NAME" --charset=utf8mb4
  there sql users describe ultron --instance="$NAME" ||
    cloud sql users create "$account" --instance="$NAME" --type=cloud_iam_service_account
}

make_redis() {
  step "Redis ($REDIS)"
  if [[ $REDIS == memorystore ]]; then make_memorystore; else make_redis_machine; fi
}

make_memorystore() {
  there redis instances describe "$NAME" --region="$REGION" ||
    cloud redis instances create "$NAME" --region="$REGION" --size="$REDIS_GB" --tier=standard --redis-version=redis_7_2 \
      --network="$NAME" --connect-mode=private-service-access --enable-auth --transit-encryption-mode=server-authentication \
      --redis-config=maxmemory-policy=noeviction --persistence-mode=rdb --rdb-snapshot-period=1h
  local host password
  host=$(value HOST redis instances describe "$NAME" --region="$REGION" --format='value(host)')
  password=$(value PASSWORD redis instances get-auth-string "$NAME" --region="$REGION" --format='value(authString)')
  value AUTHORITY redis instances describe "$NAME" --region="$REGION" --format='value(serverCaCerts[].cert)' |
    store_secret "$NAME-redis-authority"
  printf 'rediss://:%s@%s:6378?ca=/etc/atmos-fleet/redis-authority.pem' "$password" "$host" | store_secret "$NAME-redis-url"
}

make_redis_machine() {
  # The machine keeps the password it was given: a new one would shut the fleet out.
  there secrets describe "$NAME-redis-password" || password | store_secret "$NAME-redis-password"
  there compute instances describe "$NAME-redis" --zone="$ZONE" ||
    cloud compute instances create "$NAME-redis" --zone="$ZONE" --machine-type=e2-medium --subnet="$NAME" --no-address \
      --image-family=debian-12 --image-project=debian-cloud --service-account="$account" \
      --scopes=cloud-platform --shielded-secure-boot --metadata="fleet-name=$NAME" \
      --metadata-from-file=startup-script="$(dirname "${BASH_SOURCE[0]}")/redis-startup.sh"
  local host secret
  host=$(value HOST compute instances describe "$NAME-redis" --zone="$ZONE" --format='value(networkInterfaces[0].networkIP)')
  secret=$(value PASSWORD secrets versions access latest --secret="$NAME-redis-password")
  printf 'redis://:%s@%s:6379' "$secret" "$host" | store_secret "$NAME-redis-url"
}

password() { if [[ $dry_run == yes ]]; then printf PASSWORD; else openssl rand -hex 32; fi; }

make_workers() {
  step "$WORKERS machines of $SLOTS worker slots"
  # Templates never change: the name tells what one is made of.
  local template files settings
  files=$(dirname "${BASH_SOURCE[0]}")
  settings="fleet-name=$NAME,fleet-image=$WORKER_IMAGE,fleet-slots=$SLOTS,fleet-redis=$REDIS"
  template=$NAME-$(cat "$files/startup.sh" "$CONFIG" <(echo "$settings $MACHINE_TYPE $DISK_GB") | sha256sum | cut -c1-10)
  there compute instance-templates describe "$template" ||
    cloud compute instance-templates create "$template" --machine-type="$MACHINE_TYPE" --boot-disk-size="${DISK_GB}GB" \
      --region="$REGION" --subnet="$NAME" --no-address --provisioning-model=SPOT --instance-termination-action=DELETE \
      --image-family=debian-12 --image-project=debian-cloud --service-account="$account" --scopes=cloud-platform \
      --shielded-secure-boot --metadata="$settings" \
      --metadata-from-file="startup-script=$files/startup.sh,fleet-config=$CONFIG"
  if there compute instance-groups managed describe "$NAME" --zone="$ZONE"; then
    cloud compute instance-groups managed set-instance-template "$NAME" --zone="$ZONE" --template="$template"
    cloud compute instance-groups managed resize "$NAME" --zone="$ZONE" --size="$WORKERS"
  else
    cloud compute instance-groups managed create "$NAME" --zone="$ZONE" --template="$template" --size="$WORKERS"
  fi
  # A machine takes itself out of its group when the search is over: of that group's instances, and no more.
  there iam roles describe atmosFleetWorker ||
    cloud iam roles create atmosFleetWorker --project="$PROJECT" --title='atmos-fleet worker' \
      --permissions=compute.instanceGroupManagers.get,compute.instanceGroupManagers.update,compute.instances.delete
  grant projects add-iam-policy-binding "$PROJECT" --member="serviceAccount:$account" \
    --role="projects/$PROJECT/roles/atmosFleetWorker" --condition=None
}

make_roles() {
  step 'the machine of the master, the SQL client and the dashboard'
  local files address
  files=$(dirname "${BASH_SOURCE[0]}")
  address="mysql://ultron@localhost/$DATABASE?cloudSql=$PROJECT:$REGION:$NAME&ipType=PRIVATE"
  there compute instances describe "$NAME-roles" --zone="$ZONE" ||
    cloud compute instances create "$NAME-roles" --zone="$ZONE" --machine-type=e2-medium --subnet="$NAME" --no-address \
      --image-family=debian-12 --image-project=debian-cloud --service-account="$account" --scopes=cloud-platform \
      --shielded-secure-boot --metadata="fleet-name=$NAME,fleet-image=$FLEET_IMAGE,fleet-redis=$REDIS,fleet-database=$address" \
      --metadata-from-file="startup-script=$files/startup.sh,fleet-config=$CONFIG"
}

parse_options "$@"
enable_services
make_account
make_network
make_bucket
make_database
make_redis
make_roles
make_workers
step 'done: README.md says how to start the search'
