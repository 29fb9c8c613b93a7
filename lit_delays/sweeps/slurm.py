"""A sweep on a cluster: one SLURM job array, with a task for each line of the manifest."""

import re
import shlex
import sys
from pathlib import Path

from lit_delays.errors import InputError
from lit_delays.sweeps.manifest import FILE_NAME

PLAIN = re.compile(r"[A-Za-z0-9/._+][A-Za-z0-9/._+=,@-]*")
SCRIPT = """#!/bin/bash
# Task i makes run i of the manifest, and goes on with it when it is requeued. What your cluster needs besides
# goes in front: sbatch --partition=NAME --gpus=1 --time=4:00:00 THIS_FILE
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={folder}/slurm-%a.log
trap : TERM
srun {command} --line "$SLURM_ARRAY_TASK_ID"
code=$?
if [ $code -eq 143 ]; then sleep infinity; fi  # stopped: only a job that stays until it is killed is requeued
exit $code
"""


def slurm_script(folder: Path, num_runs: int) -> str:
    """A job array with one task for each line of the manifest.

    Raises:
        InputError: If the folder's name would mean something in a script.
    """
    if not PLAIN.fullmatch(str(folder)):
        raise InputError(
            "--slurm needs a folder of letters, digits and /._+=,@- alone, which mean nothing in a script,"
            f" got {str(folder)!r}; give another --folder."
        )
    command = [sys.executable, "-m", "lit_delays", "sweep", str(folder / FILE_NAME)]
    return SCRIPT.format(name=folder.name, last=num_runs - 1, folder=folder, command=shlex.join(command))
