"""Makes small batches of images as Python pickles them: `tests/golden/cases/pickled` for `tests/data/pickled.rs`.

    python pickles.py OUT        writes the pickled batches into the folder OUT

Each has four images of 32x32, whose bytes count up modulo 251, and the labels 3, 1, 0, 2. Needs NumPy alone.
"""

import pathlib
import pickle
import sys

import numpy


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    data = (numpy.arange(4 * 3072) % 251).astype(numpy.uint8).reshape(4, 3072)
    names = [b"a.png", b"b.png", b"c.png", b"d.png"]
    plain = {b"batch_label": b"a test", b"labels": [3, 1, 0, 2], b"data": data, b"filenames": names}
    for protocol in (2, 3, 4, 5):
        (out / f"protocol_{protocol}").write_bytes(pickle.dumps(plain, protocol))
    text = {"data": numpy.asfortranarray(data), "labels": numpy.array([3, 1, 0, 2])}
    (out / "columns").write_bytes(pickle.dumps(text, 4))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
