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

# A line for each of our candidates: its name, and messages per second.
measure() {
    "build/statistics-$1/bin/ipc-bench" throughput --experiments '^throughput\.32$' \
        --only '^ipc (exclusive, subscriber|shared)' --rounds 1 --seconds 0.3 2>/dev/null |
        awk -F '  +' '$3 ~ /^ipc/ { split($4, rate, " ")
            print $3 ":" rate[1] * (rate[2] == "M/s" ? 1e6 : 1e3) }'
}

for ((round = 0; round < rounds; ++round)); do
    # Which one is first changes: the other finds the machine as the first left it.
    if ((round % 2)); then
        without=$(measure OFF) with=$(measure ON)
    else
        with=$(measure ON) without=$(measure OFF)
    fi
    paste -d : <(echo "$with") <(echo "$without")
done | awk -F : '{ ratio[$1] = ratio[$1] " " $4 / $2 }
    END { for (name in ratio) {
        count = split(ratio[name], values, " ")
        for (i = 2; i <= count; ++i)
            for (j = i; j > 1 && values[j - 1] + 0 > values[j] + 0; --j) {
                swap = values[j]; values[j] = values[j - 1]; values[j - 1] = swap
            }
        printf "%-28s %.3f (%.3f to %.3f, %d rounds)\n", name,
            values[int((count + 1) / 2)], values[1], values[count], count } }'
