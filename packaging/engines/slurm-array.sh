#!/bin/bash
# A Slurm array of sixteen shards, at most four at a time. slurm-merge.sh goes behind it:
#
#   job=$(sbatch --parsable slurm-array.sh monday)
#   sbatch --dependency=afterany:$job slurm-merge.sh monday
#
# Not afterok: Slurm 22.05 also counts the exit code 75 of an attempt that was requeued, and would cancel the merge. The
# merge itself refuses missing parts, with 65.
#
# monday is the name of the run. Submit both in the folder of products.csv, which all nodes share. slurm.conf needs
# RequeueExit=75: a task that ends with 75 then becomes pending again.
#SBATCH --job-name=catalogue
#SBATCH --array=0-15%4
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=catalogue-%A-%a.log
#SBATCH --cpus-per-task=1
#SBATCH --mem=512M
set -u

# srun passes on the signals of Slurm, which would reach this shell alone.
srun --ntasks=1 skufetch products.csv --output out.json --shard auto/16 --run-id "$1" \
  --url 'https://api.example.com/products/{sku}' --header 'Authorization: Bearer ${API_TOKEN}' --lock-wait 10m
code=$?

case $code in
  # What another attempt may fix: the API is down, a disk error, locked or deferred, a signal. Ten times at most.
  69 | 74 | 75 | 1[3-9][0-9]) [ "${SLURM_RESTART_COUNT:-0}" -ge 10 ] || code=75 ;;
esac
exit "$code"
