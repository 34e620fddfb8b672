#!/usr/bin/env bash
# Checks the Promela models exhaustively with SPIN, and that each seeded mutation is caught.
#   tests/model/run.sh [--quick] [-j N] [MODEL...]
# The models say what to check, in their headers:
#   // verify: quick | NAME=VALUE...        every promise holds; without --quick also those marked full
#   // mutate: PROMISE | MUTATION NAME=VALUE...    breaks exactly this promise, with the settings of a
#                                                  quick configuration that is verified, too
# Prints a row for each check. Ends with 0 when all came out as they should, 77 when there is no spin.
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# One row. KIND is verify or mutate, EXPECTED the promise to break.
check() {
    local kind=$1 model=$2 expected=$3 settings=$4
    local verdict status=0 states='' time='' memory=''
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT  # not local: read when the function is over
    cd "$work"
    local definitions=(SC=0 TSO=1 C11=2)
    read -ra words <<<"$settings"
    definitions+=("${words[@]}")
    ${CC:-gcc} -E -P -x c "${definitions[@]/#/-D}" -I "$folder" "$folder/$model.pml" >model.pml
    spin -a model.pml >spin.log 2>&1 || status=$?
    if ((status != 0)) || [[ ! -f pan.c ]]; then
        verdict="BROKEN: $(head -n 1 spin.log)"
    else
        # A mutation is caught long before optimising pays off.
        local optimise=-O2
        [[ $kind == mutate ]] && optimise=-O0
        ${CC:-gcc} "$optimise" -w -DSAFETY -DCOLLAPSE -DMEMLIM="$IPC_MODEL_MEMORY" -o pan pan.c
        ./pan -m1000000 -w22 -E >pan.log 2>&1 || true
        local broken
        broken=$(sed -n 's/.*assertion violated (\([a-z_]*\)||.*/\1/p' pan.log | head -n 1)
        states=$(awk '/states, stored/ { print $1; exit }' pan.log)
        time=$(awk '/elapsed time/ { print $4; exit }' pan.log)
        memory=$(awk '/total actual memory/ { printf "%d", $1; exit }' pan.log)
        if grep -qE 'max search depth too small|out of memory|Search not completed' pan.log &&
            [[ -z $broken ]]; then
            verdict="INCOMPLETE: $(grep -m 1 -oE 'max search depth too small|out of memory|Search not completed' pan.log)"
        elif [[ -n $broken ]]; then
            verdict="breaks $broken"
        elif grep -q 'errors: 0' pan.log; then
            verdict=holds
        else
            verdict="BROKEN: $(grep -m 1 -E 'pan:|error' pan.log || tail -n 1 pan.log)"
        fi
    fi
    local right=$verdict
    if [[ $kind == verify && $verdict != holds ]]; then right="FAILED: $verdict"; fi
    if [[ $kind == mutate ]]; then
        right="FAILED: $verdict, not $expected"
        [[ $verdict == "breaks $expected" ]] && right="caught: $expected"
    fi
    printf '%-11s %-82s %10s %8s s %5s MB  %s\n' "$model" "$settings" "$states" "$time" "$memory" "$right"
    [[ $right != FAILED* ]]
}

if [[ ${1:-} == --check ]]; then
    shift
    check "$@"
    exit
fi

quick=
jobs=1
models=()
while (($#)); do
    case $1 in
    --quick) quick=1 ;;
    -j) jobs=$2 && shift ;;
    -j*) jobs=${1#-j} ;;
    -*) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
    *) models+=("$1") ;;
    esac
    shift
done
((${#models[@]})) || for file in "$folder"/*.pml; do models+=("$(basename "$file" .pml)"); done

if ! command -v spin >/dev/null; then
    echo "Skipped: there is no spin (Debian: spin; tools/install-packages.sh test installs it)."
    exit 77
fi

# In megabytes, for each check.
export IPC_MODEL_MEMORY=${IPC_MODEL_MEMORY:-$([[ $quick ]] && echo 1500 || echo 3500)}

# "verify: quick | A=1" becomes the arguments of --check, each ended by a zero byte.
list() {
    local model=$1 kind mark settings
    local -A verified=()
    grep -q '^// verify: quick' "$folder/$model.pml" || { echo "$model.pml: nothing to verify" >&2 && exit 2; }
    while IFS='|' read -r mark settings; do
        kind=${mark%%:*} mark=${mark#*: }
        mark=${mark// /}
        settings=$(xargs <<<"$settings")
        if [[ $kind == verify ]]; then
            verified[$settings]=1
            [[ $mark == full && $quick ]] && continue
        elif [[ -z ${verified[${settings#* }]:-} ]]; then
            echo "$model.pml: mutation '$settings' has no verified counterpart" >&2
            exit 2
        fi
        printf '%s\0' --check "$kind" "$model" "$mark" "$settings"
    done < <(sed -nE 's,^// (verify|mutate): (.*),\1: \2,p' "$folder/$model.pml")
}

for model in "${models[@]}"; do
    [[ -f $folder/$model.pml ]] || { echo "run.sh: there is no model $model" >&2 && exit 2; }
done
printf '%-11s %-82s %10s %10s %8s  %s\n' model 'settings (a mutation comes first)' states time memory verdict
for model in "${models[@]}"; do list "$model"; done |
    xargs -0 -r -n 5 -P "$jobs" "${BASH_SOURCE[0]}"
