"""Makes small Parquet tables of pictures as dataset hubs export them: `tests/golden/cases/tables` for `tests/data/tables.rs`.

    python tables.py OUT        writes the Parquet tables into the folder OUT

Ten pictures of 6x5 in each split, whose colours the label tells. Needs pyarrow and Pillow.
"""

import io
import json
import pathlib
import sys

import pyarrow
from PIL import Image
from pyarrow import parquet

NAMES = ["ant", "bee", "cat"]


def picture(label, kind):
    held = io.BytesIO()
    Image.new("RGB", (6, 5), (80 * label, 10, 20)).save(held, kind)
    return held.getvalue()


def table(count, image="image", label="label", kind="PNG", plain=False, named=True):
    labels = [place % 3 for place in range(count)]
    bytes_ = [picture(label, kind) for label in labels]
    if plain:
        column = pyarrow.array(bytes_, pyarrow.binary())
    else:
        rows = [{"bytes": value, "path": f"{place}.png"} for place, value in enumerate(bytes_)]
        column = pyarrow.array(rows, pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]))
    made = pyarrow.table({image: column, label: pyarrow.array(labels, pyarrow.int64())})
    if named:
        features = {image: {"_type": "Image"}, label: {"names": NAMES, "_type": "ClassLabel"}}
        made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    return made


def main(out):
    (out / "hub/data").mkdir(parents=True, exist_ok=True)
    write = parquet.write_table
    write(table(6), out / "hub/data/train-00000-of-00002.parquet")
    write(table(4), out / "hub/data/train-00001-of-00002.parquet", compression="gzip")
    write(table(5), out / "hub/data/test-00000-of-00001.parquet", compression="lz4")
    write(table(7, "img", "fine_label", "JPEG"), out / "img.parquet", row_group_size=3, data_page_version="2.0")
    write(table(7, plain=True, named=False), out / "plain.parquet", compression="none", use_dictionary=False)
    texts = table(6, named=False).drop_columns("label").append_column("label", pyarrow.array(NAMES * 2))
    write(texts, out / "texts.parquet")
    write(table(6).drop_columns("label"), out / "unlabelled.parquet")
    write(table(6), out / "zstd.parquet", compression="zstd")
    grouped = {"row_group_size": 3, "data_page_version": "2.0"}
    write(table(7, "img", "fine_label", "JPEG"), out / "zstd2.parquet", compression="zstd", **grouped)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
