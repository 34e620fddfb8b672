#!/usr/bin/env bash
# What counting messages and timing a sample of them costs: throughput with and without, in turns.
#   bench/statistics_cost.sh [ROUNDS]
# Builds ipc-bench twice, below build/, and prints the median of the rounds' ratios (without / with:
# 1.03 means that 3 % more would be possible).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rounds=${1:-15}

for statistics in ON OFF; do
    folder=build/statistics-$statistics
    {
        cmake --preset release -B "$folder" -DIPC_STATISTICS=$statistics -DIPC_BUILD_TESTS=OFF \
            -DIPC_BUILD_EXAMPLES=OFF
        cmake --build "$folder" --target ipc-bench
    } >/dev/null
done

# A line for each of our candidates: ON or OFF, its name, and messages per second.
measure() {
    "build/statistics-$1/bin/ipc-bench" throughput --experiments '^throughput\.32$' \
        --only '^ipc (exclusive, subscriber|shared)' --rounds 1 --seconds 0.3 --json |
        awk -v statistics="$1" -F '"' '
            $2 == "name" { name = $4 }
            $2 == "median" && name ~ /^ipc/ {
                sub(/^: /, "", $3); print statistics ":" name ":" $3 + 0 }'
}

for ((round = 0; round < rounds; ++round)); do
    # Which one is first changes: the other finds the machine as the first left it.
    if ((round % 2)); then
        measure OFF
        measure ON
    else
        measure ON
        measure OFF
    fi
done | awk -F : '
    { rate[$1, $2] = $3 }
    ("ON", $2) in rate && ("OFF", $2) in rate {
        ratio[$2] = ratio[$2] " " rate["OFF", $2] / rate["ON", $2]
        delete rate["ON", $2]; delete rate["OFF", $2]
    }
    END { for (name in ratio) {
        count = split(ratio[name], values, " ")
        for (i = 2; i <= count; ++i)
            for (j = i; j > 1 && values[j - 1] + 0 > values[j] + 0; --j) {
                swap = values[j]; values[j] = values[j - 1]; values[j - 1] = swap
            }
        printf "%-28s %.3f (%.3f to %.3f, %d rounds)\n", name,
            values[int((count + 1) / 2)], values[1], values[count], count } }'
