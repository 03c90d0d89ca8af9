#!/usr/bin/env bash
# Makes what a fleet needs on Google Cloud, step by step; what is there already is left as it is, so it may be run again.
#   create.sh [--env FILE] [--dry-run]
# A network with a way out and none in, in which Google's names lead to Private Google Access; service accounts with least roles, one for
# workers and one for the other roles; the repository of images, the bucket, Cloud SQL with login by IAM, Redis (Memorystore or a machine),
# secrets with the addresses, a small machine for the other roles, and a managed group of Spot machines that run workers.
#   --env FILE   the variables (fleet.env beside this script; see fleet.env.example)
#   --dry-run    print the commands of gcloud, and do nothing
#   -h, --help   this text
set -euo pipefail
# shellcheck source=scripts/gcp/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

enable_services() {
  step 'services of Google'
  cloud services enable compute.googleapis.com redis.googleapis.com sqladmin.googleapis.com secretmanager.googleapis.com \
    servicenetworking.googleapis.com storage.googleapis.com artifactregistry.googleapis.com dns.googleapis.com
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
    cloud compute firewall-rules create "$NAME-redis" --network="$NAME" --source-service-accounts="$account,$worker_account" \
      --target-service-accounts="$redis_account" --allow=tcp:6379
  there compute addresses describe "$NAME-services" --global ||
    cloud compute addresses create "$NAME-services" --global --purpose=VPC_PEERING --prefix-length=20 --network="$NAME"
  cloud services vpc-peerings update --service=servicenetworking.googleapis.com --ranges="$NAME-services" \
    --network="$NAME" --force
}

# Google's own names lead to Private Google Access, so that whoever may reach nothing else of the internet reaches Google.
make_names() {
  step "names of Google's services"
  private_zone googleapis googleapis.com private.googleapis.com
  private_zone images pkg.dev pkg.dev
}

private_zone() { # name domain host
  local zone=$NAME-$1 domain=$2 host=$3
  there dns managed-zones describe "$zone" ||
    cloud dns managed-zones create "$zone" --description='Private Google Access' --dns-name="$domain." --visibility=private \
      --networks="$NAME"
  there dns record-sets describe "$host." --type=A --zone="$zone" ||
    cloud dns record-sets create "$host." --type=A --zone="$zone" --ttl=300 \
      --rrdatas=199.36.153.8,199.36.153.9,199.36.153.10,199.36.153.11
  there dns record-sets describe "*.$domain." --type=CNAME --zone="$zone" ||
    cloud dns record-sets create "*.$domain." --type=CNAME --zone="$zone" --ttl=300 --rrdatas="$host."
}

make_accounts() {
  step "service accounts"
  make_account "$account" 'atmos-fleet: all roles but workers'
  make_account "$worker_account" 'atmos-fleet: workers, and the simulators in them'
  [[ $REDIS != vm ]] || make_account "$redis_account" "atmos-fleet: Redis's machine"
  local role
  # The roles log in to Cloud SQL, and write logs and metrics; workers write logs: of the whole project that is all.
  for role in roles/cloudsql.client roles/cloudsql.instanceUser roles/logging.logWriter roles/monitoring.metricWriter; do
    grant projects add-iam-policy-binding "$PROJECT" --member="serviceAccount:$account" --role="$role" --condition=None
  done
  grant projects add-iam-policy-binding "$PROJECT" --member="serviceAccount:$worker_account" --role=roles/logging.logWriter \
    --condition=None
}

make_account() { # account description
  there iam service-accounts describe "$1" || cloud iam service-accounts create "${1%%@*}" --display-name="$2"
}

make_repository() {
  step "repository $REPOSITORY"
  there artifacts repositories describe "$REPOSITORY" --location="$REGION" ||
    cloud artifacts repositories create "$REPOSITORY" --location="$REGION" --repository-format=docker
  local reader
  for reader in "$account" "$worker_account"; do
    grant artifacts repositories add-iam-policy-binding "$REPOSITORY" --location="$REGION" --member="serviceAccount:$reader" \
      --role=roles/artifactregistry.reader
  done
}

# Workers have rights in one folder of the bucket, and none over the bucket itself.
make_bucket() {
  step "bucket gs://$BUCKET"
  there storage buckets describe "gs://$BUCKET" ||
    cloud storage buckets create "gs://$BUCKET" --location="$REGION" --uniform-bucket-level-access --public-access-prevention
  there storage managed-folders describe "gs://$BUCKET/$PREFIX/" || cloud storage managed-folders create "gs://$BUCKET/$PREFIX/"
  grant storage managed-folders add-iam-policy-binding "gs://$BUCKET/$PREFIX/" --member="serviceAccount:$worker_account" \
    --role=roles/storage.objectUser
  grant storage managed-folders add-iam-policy-binding "gs://$BUCKET/$PREFIX/" --member="serviceAccount:$account" \
    --role=roles/storage.objectViewer
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
    store_secret "$NAME-redis-authority" "$account" "$worker_account"
  printf 'rediss://:%s@%s:6378?ca=/etc/atmos-fleet/redis-authority.pem' "$password" "$host" |
    store_secret "$NAME-redis-url" "$account" "$worker_account"
}

make_redis_machine() {
  # The machine keeps the password it was given: a new one would shut the fleet out.
  there secrets describe "$NAME-redis-password" || password | store_secret "$NAME-redis-password" "$redis_account"
  there compute instances describe "$NAME-redis" --zone="$ZONE" ||
    cloud compute instances create "$NAME-redis" --zone="$ZONE" --machine-type=e2-medium --subnet="$NAME" --no-address \
      --image-family=debian-12 --image-project=debian-cloud --service-account="$redis_account" \
      --scopes=cloud-platform --shielded-secure-boot --metadata="fleet-name=$NAME" \
      --metadata-from-file=startup-script="$(dirname "${BASH_SOURCE[0]}")/redis-startup.sh"
  local host secret
  host=$(value HOST compute instances describe "$NAME-redis" --zone="$ZONE" --format='value(networkInterfaces[0].networkIP)')
  secret=$(value PASSWORD secrets versions access latest --secret="$NAME-redis-password")
  printf 'redis://:%s@%s:6379' "$secret" "$host" | store_secret "$NAME-redis-url" "$account" "$worker_account"
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
      --image-family=debian-12 --image-project=debian-cloud --service-account="$worker_account" --scopes=cloud-platform \
      --shielded-secure-boot --metadata="$settings" \
      --metadata-from-file="startup-script=$files/startup.sh,fleet-config=$CONFIG"
  if there compute instance-groups managed describe "$NAME" --zone="$ZONE"; then
    cloud compute instance-groups managed set-instance-template "$NAME" --zone="$ZONE" --template="$template"
    cloud compute instance-groups managed resize "$NAME" --zone="$ZONE" --size="$WORKERS"
  else
    cloud compute instance-groups managed create "$NAME" --zone="$ZONE" --template="$template" --size="$WORKERS"
  fi
}

# The roles' machine empties the group when the search is over. No account may delete a machine, and workers may do nothing to any.
make_scaler() {
  step 'the right to change the size of a group'
  if there iam roles describe atmosFleetWorker --project="$PROJECT"; then # 0.1.0 let workers delete machines
    cloud iam roles delete atmosFleetWorker --project="$PROJECT"
  fi
  there iam roles describe atmosFleetScaler --project="$PROJECT" ||
    cloud iam roles create atmosFleetScaler --project="$PROJECT" --title='atmos-fleet scaler' \
      --permissions=compute.instanceGroupManagers.update
  grant projects add-iam-policy-binding "$PROJECT" --member="serviceAccount:$account" \
    --role="projects/$PROJECT/roles/atmosFleetScaler" --condition=None
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
make_accounts
make_network
make_names
make_repository
make_bucket
make_database
make_redis
make_scaler
make_roles
make_workers
step 'done: README.md says how to start the search'
