#!/bin/bash
# One run on two nodes with four GPUs each; options of `fit` go behind the name of this file:
#     sbatch --partition=NAME deploy/slurm_multi_node.sh --config configs/ssc_2kc.yaml --name ssc_8gpus
# Other numbers: sbatch --nodes=4 --ntasks-per-node=8 --gpus-per-node=8 ...
# The global batch is --data.batch_size times all GPUs. Submit it again to go on where it was cut off.
#SBATCH --job-name=lit_delays
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=4
#SBATCH --requeue
#SBATCH --open-mode=append
srun python -m lit_delays fit --trainer.strategy=ddp \
    --trainer.num_nodes="$SLURM_NNODES" --trainer.devices="$SLURM_NTASKS_PER_NODE" "$@"
