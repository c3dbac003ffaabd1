#!/bin/bash
# The output of the run of slurm-array.sh, once all of its shards have ended. If one has failed, the merge ends with 65,
# and its log lists the shards to run again.
#SBATCH --job-name=catalogue-merge
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=catalogue-merge-%j.log
#SBATCH --cpus-per-task=1
#SBATCH --mem=512M
set -u

# Exit 1: published, but some SKUs failed. They are in out.failed.csv.
exec srun --ntasks=1 skufetch merge --output out.json --run-id "$1" --lock-wait 10m
