#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds the examples and a package of `trellisd new-plugin`, and tests them. Needs a built trellisd:
# Examples/test.sh [TRELLISD]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
trellisd=$(realpath "${1:-$root/.build/debug/trellisd}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
few=(--jobs 20000 --kills 10 --disk 40)

step() { printf '\n--- %s\n' "$1"; }

include=$root/Sources/CTrellisPlugin/include
step 'c-storage'
clang -std=c11 -O2 -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden -I "$include" \
    -o "$folder/libslots.so" "$root/Examples/c-storage/slots.c"
"$trellisd" plugins test storage "$folder/libslots.so" "${few[@]}"

step 'c-scheduler'
clang -std=c11 -O2 -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden -I "$include" \
    -o "$folder/liblottery.so" "$root/Examples/c-scheduler/lottery.c"
"$trellisd" plugins test scheduler "$folder/liblottery.so"

step 'swift-storage-loaded'
swiftc -O -parse-as-library -module-name SwiftSlots -emit-library -warnings-as-errors -I "$include" \
    -o "$folder/libswiftslots.so" "$root/Examples/swift-storage-loaded/Slots.swift"
"$trellisd" plugins test storage "$folder/libswiftslots.so" "${few[@]}"

step 'rust-storage'
if command -v rustc >/dev/null; then
    rustc --edition 2021 -O -D warnings --crate-type cdylib -o "$folder/librustslots.so" \
        "$root/Examples/rust-storage/slots.rs"
    "$trellisd" plugins test storage "$folder/librustslots.so" "${few[@]}"
else
    echo 'left out: there is no rustc'
fi

# Each package has a build folder of its own: in one together the second would find the first one's plan.
build=(--scratch-path "$root/.build-examples")
step 'SQLiteStorage'
swift test --package-path "$root/Examples/SQLiteStorage" "${build[@]}"
"$root/.build-examples/debug/trellisd-sqlite" plugins test storage sqlite "${few[@]}"

step 'new-plugin'
"$trellisd" new-plugin storage my-store --path "$folder/my-store" --trellis "$root"
swift test --package-path "$folder/my-store" --scratch-path "$folder/build"
"$folder/build/debug/trellisd-my-store" plugins show my-store
