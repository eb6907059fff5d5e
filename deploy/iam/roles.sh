#!/usr/bin/env bash
# Prints the gcloud commands that give `cbi` just the permissions it needs; docs/bigquery.md says what each is for.
# Look at them, then run them: deploy/iam/roles.sh my-project my-bucket cbi_ EU | bash -euo pipefail
#
# Two accounts. cbi-setup makes datasets and tables: `cbi init`, once and after every upgrade. cbi-builder lands, builds,
# corrects and reads; it cannot make, change or drop a table of yours.
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "usage: $0 PROJECT BUCKET [PREFIX] [LOCATION]" >&2
  exit 2
fi
project=$1 bucket=$2 prefix=${3:-} location=${4:-US}
datasets="market_data raw_intelligence features predictions training ops monitoring api"

# In the project: jobs and reads belong to it, not to a dataset.
runner=bigquery.jobs.create,bigquery.readsessions.create,bigquery.readsessions.getData,bigquery.readsessions.update
# Where the tables are: what is read and written, and the columns that `ensure` compares.
builder=bigquery.datasets.get,bigquery.tables.get,bigquery.tables.list,bigquery.tables.getData,bigquery.tables.updateData
# In cbi_staging alone: every write makes tables there and takes them away.
stager=$builder,bigquery.tables.create,bigquery.tables.update,bigquery.tables.delete
# What makes and changes tables and views; a view is made by somebody who may read what it reads.
setup=bigquery.datasets.create,bigquery.datasets.get,bigquery.tables.create,bigquery.tables.get,bigquery.tables.list
setup=$setup,bigquery.tables.getData,bigquery.tables.update,bigquery.tables.delete
# In the bucket: put, read, list, rename (a copy and a removal); never a bucket's own settings.
keeper=storage.objects.create,storage.objects.delete,storage.objects.get,storage.objects.list

role() { # NAME TITLE PERMISSIONS
  printf 'gcloud iam roles create %s --project %q --title %q --permissions %s\n' "$1" "$project" "$2" "$3"
}
member() { # ACCOUNT
  printf 'serviceAccount:%s@%s.iam.gserviceaccount.com' "$1" "$project"
}
in_project() { # ACCOUNT ROLE
  printf 'gcloud projects add-iam-policy-binding %q --member %q --role projects/%q/roles/%s --condition None\n' \
    "$project" "$(member "$1")" "$project" "$2"
}
on_dataset() { # DATASET ROLE
  printf 'bq query --project_id %q --location %q --nouse_legacy_sql %q\n' "$project" "$location" \
    "GRANT \`projects/$project/roles/$2\` ON SCHEMA \`$project.$prefix$1\` TO \"$(member cbi-builder)\""
}

printf 'gcloud services enable bigquery.googleapis.com bigquerystorage.googleapis.com --project %q\n' "$project"
printf 'gcloud iam service-accounts create cbi-setup --project %q\n' "$project"
printf 'gcloud iam service-accounts create cbi-builder --project %q\n' "$project"
role cbiRunner "CBI: jobs and reads" "$runner"
role cbiBuilder "CBI: rows of tables" "$builder"
role cbiStager "CBI: staging tables" "$stager"
role cbiSetup "CBI: datasets and tables" "$setup"
role cbiKeeper "CBI: delivered files" "$keeper"
in_project cbi-setup cbiSetup
in_project cbi-builder cbiRunner
printf 'gcloud storage buckets add-iam-policy-binding %q --member %q --role projects/%q/roles/cbiKeeper\n' \
  "gs://$bucket" "$(member cbi-builder)" "$project"
# Datasets must be there before somebody is let into them. What is there already stays as it is.
for dataset in $datasets cbi_staging; do
  expires=""
  if [ "$dataset" = cbi_staging ]; then expires="--default_table_expiration 3600 "; fi
  printf 'bq --location %q mk --dataset --force %s%q\n' "$location" "$expires" "$project:$prefix$dataset"
done
for dataset in $datasets; do on_dataset "$dataset" cbiBuilder; done
on_dataset cbi_staging cbiStager
