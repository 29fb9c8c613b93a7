#!/bin/bash
# A SLURM cluster on this machine alone, to try job arrays and preemption before asking for the real one.
# Needs Debian's slurmctld, slurmd, slurm-client and munge, and root. Everything it writes lies in FOLDER:
#     deploy/slurm_one_node.sh FOLDER [CPUS]; export SLURM_CONF=FOLDER/slurm.conf
# Partition `low` is preempted and requeued by partition `high`. Stop it with: kill $(cat FOLDER/*.pid)
set -euo pipefail
folder=$(realpath -m "$1")
cpus=${2:-$(nproc)}
mkdir -p "$folder/state" "$folder/spool"
(umask 077 && head -c 1024 /dev/urandom > "$folder/munge.key")
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --seed-file="$folder/munge.seed" --log-file="$folder/munged.log"
cat > "$folder/slurm.conf" <<EOF
ClusterName=one_node
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldPort=16817
SlurmdPort=16818
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=5
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
EOF
export SLURM_CONF=$folder/slurm.conf
slurmctld
slurmd -N "$(hostname -s)"
for _ in $(seq 50); do
    sinfo --noheader --states=idle 2>/dev/null | grep -q . && exec sinfo
    sleep 0.2
done
echo "slurmd has not answered: see $folder/slurmd.log" >&2
exit 1
