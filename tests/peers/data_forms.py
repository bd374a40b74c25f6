"""Makes data in the forms that users' files have, with the expected results: `tests/golden/cases/data_forms.zip` for `tests/data/forms.rs`.

    python data_forms.py OUT        writes the data into the new folder OUT and into OUT.zip

Writes a folder OUT with the files and `expected.json`, and OUT.zip of them. Every image has one colour, whose red value tells it
apart, so that resizing changes nothing. `expected.json` says of each form which labels, values and class names are read for training
(`train`) and for evaluation (`test`), or a word of the reason for which it is refused. Needs NumPy, Pillow and pyarrow.
"""

import io
import json
import pathlib
import pickle
import struct
import sys
import tarfile
import zipfile

import numpy
import pyarrow
from PIL import Image
from pyarrow import parquet

SIDE = 8
HEAD = ["ant", "bee", "cat"]


def picture(value, kind="PNG", mode="RGB"):
    held = io.BytesIO()
    colour = (value, 10, 20) if mode == "RGB" else value
    Image.new(mode, (SIDE, SIDE), colour).save(held, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return held.getvalue()


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


class Forms:
    def __init__(self, out):
        self.out, self.expected = out, {}

    def expect(self, name, both=None, train=None, test=None, classes=(), channels=3, count=None, said=()):
        """`train` and `test`: lists of [label, value], or a word of the refusal; `both` where they are the same."""
        right = {"channels": channels, "classes": list(classes), "count": count or max(len(classes), 1), "said": list(said)}
        right |= {"train": both if train is None else train, "test": both if test is None else test}
        self.expected[name] = right

    def folders(self, name, parts, **right):
        """Class folders: path within the form to the values of its pictures."""
        for folder, values in parts.items():
            for place, value in enumerate(values):
                write(self.out / name / folder / f"{place}.png", picture(value))
        if right:
            self.expect(name, **right)


def labelled(*classes):
    """The values of each class as [label, value]."""
    return [[label, value] for label, values in enumerate(classes) for value in values]


def class_folders(forms):
    train, test = [[20, 40], [60, 80], [100, 120]], [[30], [70], [110]]
    both = {"train": labelled(*train), "test": labelled(*test), "classes": HEAD}
    for learnt, judged in [("train", "test"), ("training", "validation"), ("train", "valid"), ("train", "val"), ("Train", "Test")]:
        folders = {f"{learnt}/{name}": values for name, values in zip(HEAD, train)}
        forms.folders(f"{learnt}_{judged}", folders | {f"{judged}/{name}": values for name, values in zip(HEAD, test)}, **both)
    flat = labelled(*train)
    forms.folders("undivided", dict(zip(HEAD, train)), both=flat, classes=HEAD)
    forms.folders("numbered", dict(zip(["10", "9", "1"], train)), both=labelled(train[2], train[1], train[0]), classes=["1", "9", "10"])
    words = ["golden retriever", "it's", "日本 猫"]
    forms.folders("words", dict(zip(words, train)), both=flat, classes=words)
    accents = {"train/caf\u00e9": [20, 40], "train/tea": [60], "test/cafe\u0301": [30], "test/tea": [70]}
    forms.folders("accents", accents, train=labelled([20, 40], [60]), test=labelled([30], [70]), classes=["caf\u00e9", "tea"])
    forms.folders("nested", {"cat/persian": [20, 40], "cat": [50], "dog/a/b": [60, 80]}, both=labelled([20, 40, 50], [60, 80]), classes=["cat", "dog"])
    forms.folders("missing", {"train/cat": [20], "train/dog": [60], "test/dog": [70]}, train=[[0, 20], [1, 60]], test=[[1, 70]], classes=["cat", "dog"])
    forms.folders("another", {"train/cat": [20], "train/dog": [60], "test/cow": [70]}, both="\"cow\"", count=2)
    forms.folders("bare", {".": [20, 40]}, both="a folder for each class")
    forms.folders("others", dict(zip(HEAD, train)), both=flat, classes=HEAD, said=["left out 2 files", "left out 1 folder"])
    for name in ["ant/.DS_Store", "ant/notes.txt", "bee/clip.mp4", ".git/x/0.png", "__MACOSX/ant/._0.png", "bee/Thumbs.db"]:
        write(forms.out / "others" / name, b"x")
    (forms.out / "others/empty").mkdir()
    write(forms.out / "others/empty/.keep", b"")
    kinds = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]
    for place, kind in enumerate(kinds):
        write(forms.out / "kinds/a" / f"{place}.{kind.lower()}", picture(20 + 20 * place, kind))
        write(forms.out / "kinds/b" / f"{place}.png", picture(30 + 20 * place, kind))
    right = labelled([20 + 20 * place for place in range(6)], [30 + 20 * place for place in range(6)])
    forms.expect("kinds", right, classes=["a", "b"])
    for place, mode in enumerate(["L", "P", "1", "LA", "RGBA", "I;16"]):
        value = {"1": 1, "LA": (255, 255), "RGBA": (255, 255, 255, 255), "I;16": 65535}.get(mode, 255)
        held = io.BytesIO()
        made = Image.new("RGB", (SIDE, SIDE), (255,) * 3).convert("P") if mode == "P" else Image.new(mode, (SIDE, SIDE), value)
        made.save(held, "PNG")
        write(forms.out / "modes" / "ab"[place % 2] / f"{place}.png", held.getvalue())
    forms.expect("modes", labelled([255] * 3, [255] * 3), classes=["a", "b"])
    for place, name in enumerate(HEAD):
        write(forms.out / "grey" / name / "0.png", picture(40 * place, mode="L"))
        write(forms.out / "grey" / name / "1.png", picture(40 * place + 9, mode="L"))
    forms.expect("grey", labelled([0, 9], [40, 49], [80, 89]), classes=HEAD, channels=1)
    for name, listed, text in [
        ("classes_txt", "classes.txt", "cat\nant\nbee\n"),
        ("class_to_idx", "class_to_idx.json", json.dumps({"cat": 0, "ant": 1, "bee": 2})),
    ]:
        forms.folders(name, dict(zip(HEAD, train)), both=labelled(train[2], train[0], train[1]), classes=["cat", "ant", "bee"])
        write(forms.out / name / listed, text.encode())
    for name, top in [("zipped", ""), ("zipped_below", "photos/"), ("zipped_divided", "data/train/")]:
        with zipfile.ZipFile(forms.out / f"{name}.zip", "w") as archive:
            for folder, values in zip(HEAD, train):
                for place, value in enumerate(values):
                    archive.writestr(f"{top}{folder}/{place}.png", picture(value))
                    archive.writestr(f"__MACOSX/{top}{folder}/._{place}.png", b"x")
                if name == "zipped_divided":
                    archive.writestr(f"data/test/{folder}/0.png", picture(values[0] + 10))
    forms.expect("zipped.zip", flat, classes=HEAD)
    forms.expect("zipped_below.zip", flat, classes=HEAD)
    forms.expect("zipped_divided.zip", **both)
    with tarfile.open(forms.out / "folders.tar.gz", "w:gz") as archive:
        archive.add(forms.out / "undivided", "undivided")
    forms.expect("folders.tar.gz", "CIFAR")
    write(forms.out / "csv/labels.csv", b"0.png,ant\n")
    forms.folders("csv/images", {".": [20, 40]})
    forms.expect("csv", "labels.csv")


def arrays(forms):
    values, labels = [20, 40, 60, 80, 100, 120], [0, 1, 2, 0, 1, 2]
    images = numpy.empty((6, SIDE, SIDE, 3), numpy.uint8)
    images[...] = (0, 10, 20)
    images[..., 0] = numpy.array(values)[:, None, None]
    right = [[label, value] for label, value in zip(labels, values)]
    labels = numpy.array(labels)

    def npz(name, both=None, **members):
        again = {key: members.pop(key) for key in ("train", "test", "classes", "count", "channels") if key in members}
        numpy.savez(forms.out / f"{name}.npz", **members)
        forms.expect(f"{name}.npz", both, **{"count": 3, **again})

    for kind in ("u1", "i1", "i2", ">i2", "i4", ">i4", "i8", "u2", "u4", ">u8"):
        npz(f"pixels_{kind.replace('>', 'big_')}", right, images=images.astype(kind), labels=labels)
    for kind in ("f2", "f4", ">f4", "f8", ">f8"):
        npz(f"pixels_{kind.replace('>', 'big_')}", right, images=(images / 255).astype(kind), labels=labels)
    npz("floats_to_255", right, images=images.astype("f4"), labels=labels)
    npz("minus_one_to_one", "[0, 1]", images=images.astype("f4") / 127.5 - 1, labels=labels)
    for kind in ("u1", "i2", ">i4", "u8", "f4", "f8"):
        npz(f"labels_{kind.replace('>', 'big_')}", right, images=images, labels=labels.astype(kind))
    npz("labels_column", right, images=images, labels=labels[:, None])
    npz("labels_one_hot", right, images=images, labels=numpy.eye(3)[labels])
    npz("labels_texts", right, images=images, labels=numpy.array(HEAD)[labels], classes=HEAD)
    npz("labels_bytes", right, images=images, labels=numpy.array(HEAD, "S")[labels], classes=HEAD)
    npz("labels_objects", "objects", images=images, labels=numpy.array(HEAD, object)[labels])
    npz("labels_halves", "labels", images=images, labels=labels + 0.5)
    npz("labels_from_one", "subtract 1", images=images, labels=labels + 1)
    npz("labels_negative", "-1", images=images, labels=labels - 1)
    npz("labels_short", "5 labels", images=images, labels=labels[:5])
    npz("labels_booleans", images=images, labels=labels > 0, both=[[int(label > 0), value] for label, value in right], count=2)
    npz("columns", right, images=numpy.asfortranarray(images), labels=labels)
    npz("planes", right, images=images.transpose(0, 3, 1, 2), labels=labels)
    npz("grey", right, images=images[..., 0], labels=labels, channels=1)
    npz("grey_one_channel", right, images=images[..., :1], labels=labels, channels=1)
    npz("four_channels", "channels", images=numpy.concatenate([images, images[..., :1]], -1), labels=labels)
    npz("flat", "[N, H, W]", images=images.reshape(6, -1), labels=labels)
    npz("no_labels", "no labels", images=images)
    npz("unknown_names", "none of images", some=images, thing=labels)
    numpy.savez(forms.out / "nameless.npz", images, labels)
    forms.expect("nameless.npz", right, count=3)
    numpy.savez(forms.out / "empty.npz")
    forms.expect("empty.npz", "no array")
    npz("no_images", "images", images=images[:0], labels=labels[:0])
    first, last = {"train": right[:4], "test": right[4:]}, (images[:4], labels[:4], images[4:], labels[4:])
    for name, keys in [
        ("keras", "x_train y_train x_test y_test"),
        ("capitals", "X_train Y_train X_test Y_test"),
        ("medmnist", "train_images train_labels test_images test_labels"),
        ("val", "images_train labels_train images_val labels_val"),
    ]:
        pairs = dict(zip(keys.split(), last))
        pairs = {key: value[:, None] if name == "medmnist" and "labels" in key else value for key, value in pairs.items()}
        npz(name, **first, **pairs)
    for name, keys in [("pair", "x y"), ("targets", "data targets"), ("singular", "image label"), ("test_alone", "x_test y_test")]:
        pairs = dict(zip(keys.split(), (images, labels)))
        refused = {"train": "nothing in it but test", "test": right} if name == "test_alone" else {"both": right}
        npz(name, **refused, **pairs)
    numpy.savez_compressed(forms.out / "compressed.npz", images=images, labels=labels)
    forms.expect("compressed.npz", right, count=3)
    with zipfile.ZipFile(forms.out / "twice.npz", "w") as archive:
        held = [io.BytesIO(), io.BytesIO()]
        for file, array in zip(held, (images, labels)):
            numpy.save(file, array)
        for name, file in [("images", held[0]), ("labels", held[1]), ("images", held[0])]:
            archive.writestr(f"{name}.npy", file.getvalue())
    forms.expect("twice.npz", "twice")
    damaged = bytearray((forms.out / "pair.npz").read_bytes())
    damaged[400] ^= 1
    write(forms.out / "damaged.npz", bytes(damaged))
    forms.expect("damaged.npz", "sum")
    numpy.savez(forms.out / "parts.npz", images=images, labels=labels)
    write(forms.out / "two_archives/train.npz", (forms.out / "parts.npz").read_bytes())
    write(forms.out / "two_archives/val.npz", (forms.out / "parts.npz").read_bytes())
    forms.expect("two_archives", right, count=3)
    (forms.out / "npy").mkdir()
    for stem, array in [("images", images), ("labels", labels), ("x", images), ("y", labels)]:
        numpy.save(forms.out / "npy" / f"{stem}.npy", array)
    forms.expect("npy/images.npy", right, count=3)
    forms.expect("npy/x.npy", right, count=3)
    numpy.save(forms.out / "objects.npy", numpy.array([{"a": 1}], object))
    forms.expect("objects.npy", "objects")


def batches(forms):
    rows = numpy.zeros((4, 3072), numpy.uint8)
    rows[:, :1024] = numpy.array([20, 40, 60, 80])[:, None]
    right = [[0, 20], [1, 40], [2, 60], [3, 80]]
    plain = {b"labels": [0, 1, 2, 3], b"data": rows, b"batch_label": b"", b"filenames": [b""] * 4}
    meta = {b"label_names": [name.encode() for name in "plane car bird cat deer dog frog horse ship truck".split()]}
    for top in ("python", "python_below/cifar-10-batches-py"):
        for batch in range(1, 6):
            write(forms.out / top / f"data_batch_{batch}", pickle.dumps(plain, 2))
        write(forms.out / top / "test_batch", pickle.dumps(plain, 2))
        write(forms.out / top / "batches.meta", pickle.dumps(meta, 2))
        names = [name.decode() for name in meta[b"label_names"]]
        forms.expect(top.split("/")[0], train=sorted(right * 5), test=right, classes=names)
    idx = lambda sides, data: struct.pack(f">BBBB{len(sides)}I", 0, 0, 8, len(sides), *sides) + data
    for dot in "-.":
        for part in ("train", "t10k"):
            data = b"".join(bytes([value]) * SIDE * SIDE for value in (20, 40, 60))
            write(forms.out / f"idx{dot}" / f"{part}-images{dot}idx3-ubyte", idx((3, SIDE, SIDE), data))
            write(forms.out / f"idx{dot}" / f"{part}-labels{dot}idx1-ubyte", idx((3,), bytes([0, 1, 2])))
        forms.expect(f"idx{dot}", right[:3], channels=1, count=3)


def tables(forms):
    values, labels = [20, 40, 60, 80, 100, 120], [0, 1, 2, 0, 1, 2]
    right = [[label, value] for label, value in zip(labels, values)]
    pictures = [{"bytes": picture(value), "path": f"{value}.png"} for value in values]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])

    def table(name, both, image="image", column=None, label="label", of=None, **more):
        made = {image: pyarrow.array(pictures, kind) if column is None else column}
        made |= {label: pyarrow.array(labels if of is None else of)} if label else {}
        parquet.write_table(pyarrow.table(made), forms.out / f"{name}.parquet")
        forms.expect(f"{name}.parquet", both, **{"count": 3, **more})

    table("dict", right)
    table("cifar", right, "img")
    table("bytes", right, column=pyarrow.array([row["bytes"] for row in pictures], pyarrow.binary()))
    table("large_bytes", right, column=pyarrow.array([row["bytes"] for row in pictures], pyarrow.large_binary()))
    table("names", right, of=[HEAD[label] for label in labels], classes=HEAD)
    table("small_labels", right, of=pyarrow.array(labels, pyarrow.uint8()))
    table("fine", right, label="fine_label")
    table("cls", right, "jpg", column=pyarrow.array([row["bytes"] for row in pictures], pyarrow.binary()), label="cls")
    table("lists", "label", of=[[label] for label in labels])
    table("nulls", "label", of=[0, None, 2, 0, 1, 2])
    table("paths", "without a picture", column=pyarrow.array([{"bytes": None, "path": "a.png"}] * 6, kind))
    table("no_image", "image", "text", column=pyarrow.array(["a"] * 6))
    with pyarrow.OSFile(str(forms.out / "stream.arrow"), "wb") as sink:
        made = pyarrow.table({"image": pyarrow.array(pictures, kind), "label": labels})
        with pyarrow.ipc.new_file(sink, made.schema) as writer:
            writer.write_table(made)
    forms.expect("stream.arrow", "Parquet")


def shards(forms):
    values, labels = [20, 40, 60, 80, 100, 120], [0, 1, 2, 0, 1, 2]
    right = [[label, value] for label, value in zip(labels, values)]

    def tar(name, files):
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w") as archive:
            for path, data in files:
                member = tarfile.TarInfo(path)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        write(forms.out / name, held.getvalue())

    for name, image, ending, label in [
        ("cls", "png", "cls", str),
        ("cls_lines", "png", "cls", lambda label: f"{label}\n"),
        ("jpg", "jpg", "cls", str),
        ("json", "png", "json", lambda label: json.dumps({"label": label, "caption": "x"})),
    ]:
        files = []
        for place, (one, value) in enumerate(zip(labels, values)):
            files += [(f"{place:06}.{image}", picture(value, "JPEG" if image == "jpg" else "PNG")), (f"{place:06}.{ending}", label(one).encode())]
        tar(f"shard_{name}.tar", files)
        forms.expect(f"shard_{name}.tar", right, count=3)
    tar("shard_unlabelled.tar", [(f"{place}.png", picture(value)) for place, value in enumerate(values)])
    forms.expect("shard_unlabelled.tar", "label")
    whole = (forms.out / "shard_cls.tar").read_bytes()
    write(forms.out / "shard_cut.tar", whole[:2048])
    forms.expect("shard_cut.tar", "end")


def main(out):
    out.mkdir(parents=True)
    forms = Forms(out)
    for make in (class_folders, arrays, batches, tables, shards):
        make(forms)
    write(out / "expected.json", (json.dumps(forms.expected, indent=1, ensure_ascii=False) + "\n").encode())
    with zipfile.ZipFile(out.with_name(f"{out.name}.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in out.rglob("*") if path.is_file()):
            archive.writestr(zipfile.ZipInfo(path.relative_to(out).as_posix()), path.read_bytes(), zipfile.ZIP_DEFLATED)
    print(f"{len(forms.expected)} forms")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
