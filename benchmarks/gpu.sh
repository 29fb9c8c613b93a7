#!/usr/bin/env bash
# Everything worth knowing on one card, most worth first, in less than nine minutes.
#
#     benchmarks/gpu.sh [FOLDER]          # results, a file a part; $OUT or gpu_results where it is left out
#
# Each part writes as it goes and has a time limit of its own: one that fails, or hangs, costs no other.
# PEERS: a folder with the packages of the paper's stack (dcls, spikingjelly), where they are not installed.
# DEVICE=cpu SMALL=--small try the script itself; PARTS="step epoch" leaves out the others.
cd "$(dirname "$0")/.." || exit 1
folder="${1:-${OUT:-gpu_results}}"
mkdir -p "$folder"
export PYTHONPATH="$PWD:${PEERS:-}:${PYTHONPATH:-}"
python="${PYTHON:-python3}"

part() { # NAME SECONDS COMMAND...
    local name="$1" limit="$2" start=$SECONDS
    shift 2
    timeout --kill-after=5 "$limit" "$@" >"$folder/$name.txt" 2>"$folder/$name.log" </dev/null
    echo "$name: exit $?, $((SECONDS - start)) s" | tee -a "$folder/summary.txt"
}

measure() { # NAME SECONDS
    part "$1" "$2" "$python" benchmarks/gpu.py "$1" --device "${DEVICE:-cuda}" ${SMALL:+"$SMALL"}
}

: >"$folder/summary.txt"
command -v nvidia-smi >/dev/null && nvidia-smi >"$folder/card.txt"
[ -z "$SMALL" ] && part tests 60 "$python" -m pytest -q -m gpu tests/snn/test_gpu_kernels.py -p no:cacheprovider
while read -r name limit; do
    case " ${PARTS:-$name} " in *" $name "*) measure "$name" "$limit" ;; esac
done <<LIMITS
equality 40
step 50
epoch 120
graphs 60
recurrent 40
neurons 30
precision 40
forms 40
profile 30
LIMITS
cat "$folder"/*.txt | grep '^{' >"$folder/all.jsonl"
echo "results: $folder"
