#!/bin/sh
# Makes data/fashion-mnist-cut, the part of Fashion-MNIST that is built into the library, from the complete data set, byte for
# byte the same on each run.
# Usage: scripts/make-data.sh FOLDER, where FOLDER holds the four official idx.gz files; or, with Debian's package:
#   apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-fashion-mnist_*.deb full
#   scripts/make-data.sh full/usr/share/datasets/fashion-mnist
set -eu
from=${1:?the folder with the official idx.gz files}
to=$(dirname "$0")/../data/fashion-mnist-cut
temporary=$(mktemp -d)
trap 'rm -r "$temporary"' EXIT
python3 - "$from" "$temporary" <<'PYTHON'
import gzip, struct, sys
source, target = sys.argv[1:]
for part, per_class in (("train", 300), ("t10k", 100)):
    images = gzip.open(f"{source}/{part}-images-idx3-ubyte.gz").read()
    labels = gzip.open(f"{source}/{part}-labels-idx1-ubyte.gz").read()[8:]
    _, count, height, width = struct.unpack(">4I", images[:16])
    assert count == len(labels) and len(images) == 16 + count * height * width
    size, taken, kept = height * width, [0] * 10, []
    for i, label in enumerate(labels):
        if taken[label] < per_class:
            taken[label] += 1
            kept.append(i)
    assert taken == [per_class] * 10
    with open(f"{target}/{part}-images-idx3-ubyte", "wb") as out:
        out.write(struct.pack(">4I", 0x803, len(kept), height, width))
        for i in kept:
            out.write(images[16 + i * size:16 + (i + 1) * size])
    with open(f"{target}/{part}-labels-idx1-ubyte", "wb") as out:
        out.write(struct.pack(">2I", 0x801, len(kept)) + bytes(labels[i] for i in kept))
PYTHON
for file in "$temporary"/*; do
    gzip -9 -n -c "$file" > "$to/$(basename "$file").gz"
done
