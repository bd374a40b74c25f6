"""Compares metrics with their definitions in NumPy and with the reference values in the repository's tests/golden. Also tests the
readers of images, and the random images that sampling starts from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import golden
import lapidary
from lapidary import metrics


def test_fid_of_gaussians() -> None:
    random = np.random.default_rng(0)
    real, other = random.normal(size=(500, 6)), 0.5 + 2 * random.normal(size=(400, 6))
    a, b = np.cov(real.astype(np.float32), rowvar=False), np.cov(other.astype(np.float32), rowvar=False)
    # The trace of the root of a product of two covariances, by its eigenvalues.
    root = np.sqrt(np.linalg.eigvals(a @ b).real.clip(0)).sum()
    wanted = ((real.mean(0) - other.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * root
    assert metrics.fid(real, other) == pytest.approx(wanted, rel=1e-4)
    assert abs(metrics.fid(real, real)) < 1e-6


def test_statistics_are_kept_and_read(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    real, other = random.normal(size=(500, 6)), 0.5 + 2 * random.normal(size=(400, 6))
    wanted = metrics.fid(real, other)
    kept = metrics.statistics(real)
    single = real.astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(kept.mean, single.mean(0), rtol=1e-12)
    np.testing.assert_allclose(kept.covariance, np.cov(single, rowvar=False), rtol=1e-9, atol=1e-12)
    file = tmp_path / "real.npz"
    np.savez(file, mu=kept.mean, sigma=kept.covariance)
    for given in (kept, file, str(file)):
        assert metrics.fid(given, other) == pytest.approx(wanted, rel=1e-9)
    np.testing.assert_array_equal(metrics.statistics(file).covariance, kept.covariance)
    np.savez(file, mu=kept.mean)
    with pytest.raises(lapidary.BadFile, match="sigma"):
        metrics.fid(file, other)


def test_detection_is_of_both_scores(model: lapidary.Model, fashion: lapidary.data.Labelled) -> None:
    real = fashion.images[:64]
    others = lapidary.data.fractal(64, side=16, channels=1)
    before, after = model.logits(real), model.logits(others)
    found = metrics.detection(before, after)
    sums = model.log_sum_exp(real), model.log_sum_exp(others)
    assert found.energy_auroc == pytest.approx(metrics.auroc(*sums), abs=1e-6)
    assert found.energy_fpr95 == pytest.approx(metrics.fpr95(*sums))
    sure = metrics.confidences(before), metrics.confidences(after)
    assert found.confidence_auroc == pytest.approx(metrics.auroc(*sure), abs=1e-6)
    # Others that hide are told apart less well, and have not gone far.
    hidden = model.hide(others, eps=2.0, steps=5, step_size=0.5)
    lengths = np.linalg.norm((hidden - others).reshape(64, -1), axis=1)
    assert lengths.max() <= 2.001 and lengths.min() > 0.5
    assert metrics.detection(before, model.logits(hidden)).confidence_auroc < found.confidence_auroc


def test_kid_and_coverage() -> None:
    random = np.random.default_rng(1)
    real, near, far = random.normal(size=(200, 4)), random.normal(size=(200, 4)), 3 + random.normal(size=(200, 4))
    assert abs(metrics.kid(real, near, subset_size=100)[0]) < metrics.kid(real, far, subset_size=100)[0]
    precision, recall = metrics.precision_recall(real, near)
    assert precision > 0.8 and recall > 0.8
    assert metrics.precision_recall(real, 100 + far) == (0, 0)
    assert metrics.precision_recall(real, real) == (1, 1)


def test_scores_of_logits() -> None:
    logits = np.array([[np.log(3), 0], [0, 0], [0, np.log(3)]])
    # Of one image the confidence is 0.5 and it is wrong, of two 0.75 and they are right.
    assert metrics.ece(logits, [0, 1, 1], bins=4) == pytest.approx(1 / 3)
    np.testing.assert_allclose(metrics.confidences(logits), [0.75, 0.5, 0.75], rtol=1e-6)
    sure = 50 * np.eye(10)[np.arange(100) % 10]
    assert metrics.inception_score(sure)[0] == pytest.approx(10)
    mean, std = metrics.inception_score(np.zeros((20, 5)), splits=1)
    assert mean == pytest.approx(1) and std is None


def test_telling_sets_apart() -> None:
    assert metrics.auroc([2, 3], [0, 1]) == 1
    assert metrics.auroc([1, 2, 3], [2, 0]) == pytest.approx(4.5 / 6)
    assert metrics.fpr95(range(1, 21), [0, 1.5, 2, 30]) == 0.5


def test_scores_of_64_bits_keep_their_order() -> None:
    low = 1 - np.arange(1, 9) * 1e-12
    high = low + 0.5e-12
    assert len(np.unique(np.concatenate([low, high]).astype(np.float32))) == 1
    assert metrics.auroc(high, low) == (high[:, None] > low).mean() == 36 / 64
    assert metrics.fpr95(high, low) == 7 / 8
    # And so do probabilities near 1.
    sure, surer = np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32)
    sure[:, 0], surer[:, 0] = 20, 22
    assert metrics.detection(surer, sure).confidence_auroc == 1


def test_readers_and_start_images() -> None:
    images, labels, names = lapidary.data.fashion("train")
    assert images.shape == (3000, 1, 32, 32) and labels.shape == (3000,) and len(names) == 10
    assert images.min() == 0 and images.max() == 1 and not images[:, :, :2].any()
    fields = lapidary.data.fractal(4, side=8, seed=1)
    assert fields.shape == (4, 3, 8, 8) and 0 <= fields.min() < fields.max() <= 1
    np.testing.assert_array_equal(fields, lapidary.data.fractal(4, side=8, seed=1))
    assert lapidary.data.noise(2, side=8, channels=1).std() == pytest.approx(0.29, abs=0.05)


def test_pictures_are_read(tmp_path: Path) -> None:
    from PIL import Image

    file = tmp_path / "a.png"
    Image.fromarray(np.full((20, 30, 3), 51, np.uint8)).save(file)
    picture = lapidary.data.picture(file, side=16)
    assert picture.shape == (1, 3, 16, 16)
    np.testing.assert_allclose(picture, 0.2, atol=1e-3)
    data = lapidary.data.load("builtin:fashion", part="test", side=28)
    assert data.images.shape[2:] == (28, 28)


@pytest.mark.parametrize("fit", [None, "crop", "letterbox", "stretch"])
def test_folders_of_pictures_are_fitted_as_asked(tmp_path: Path, fit: str | None) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "0.png")
    data = lapidary.data.load(tmp_path, part="train", side=16, fit=fit)
    alone = lapidary.data.picture(tmp_path / "a" / "0.png", side=16, fit=fit or "crop")
    np.testing.assert_allclose(data.images, np.repeat(alone, 2, 0), atol=0.51 / 255)
    assert (data.labels.tolist(), data.class_names) == ([0, 1], ["a", "b"])


def test_what_is_left_out_is_said(tmp_path: Path, model: lapidary.Model) -> None:
    from PIL import Image

    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(30):
            Image.fromarray(np.full((16, 16), number, np.uint8)).save(tmp_path / name / f"{number:02}.png")
    for number in range(5):
        (tmp_path / "a" / f"{number:02}.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    with pytest.warns(UserWarning, match="6 left out or unusual: .*notes.txt.*00.png.*; and 3 more") as told:
        data = lapidary.data.load(tmp_path, part="train", side=16)
    assert len(data.images) == 55 and told[0].filename == __file__ and len(told) == 1
    with pytest.warns(UserWarning, match=r"left out.*0\d.png") as told:
        model.sample([0] * 60, start=str(tmp_path), steps=1)
    assert told[0].filename == __file__ and len(told) == 1


def test_images_without_labels_get_none(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(lapidary.BadFile, match="no labels"):
        lapidary.data.load(tmp_path / "x.npy", part="train", side=8)


def golden_metrics() -> list[str]:
    return sorted(path.stem for path in (golden.FOLDER / "metrics").glob("*.safetensors"))


@pytest.mark.parametrize("name", golden_metrics())
def test_golden_values(name: str) -> None:
    metadata, tensors = golden.read(golden.FOLDER / "metrics" / f"{name}.safetensors")
    params, op = json.loads(metadata["params"]), metadata["op"]
    given = {key[3:]: value for key, value in tensors.items() if key.startswith("in.")}
    found: dict[str, float | None] = {}
    if op == "auroc":
        found["auroc"] = metrics.auroc(given["pos"], given["neg"])
    elif op == "ece":
        found["ece"] = metrics.ece(given["logits"], given["labels"], bins=params["bins"])
    elif op == "fid":
        found["fid"] = metrics.fid(given["features_a"], given["features_b"])
    elif op == "inception_score":
        found["mean"], found["std"] = metrics.inception_score(given["logits"], splits=params["splits"])
    elif op == "knn_precision_recall":
        real, fake = given["real"], given["fake"]
        found["precision"], found["recall"] = metrics.precision_recall(real, fake, neighbours=params["k"])
    else:
        pytest.fail(f"no metric for {op}")
    tolerances = json.loads(metadata["tol"])
    for key, value in found.items():
        if value is None:
            assert f"out.{key}" not in tensors
            continue
        wanted, tolerance = tensors[f"out.{key}"].item(), tolerances[f"out.{key}"]
        assert abs(value - wanted) <= tolerance["atol"] + tolerance["rtol"] * abs(wanted), (value, wanted)
