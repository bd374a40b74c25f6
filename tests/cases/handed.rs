//! Tests that lapidary reads or refuses user files as the table `handed.json` says: a row names a file, and what is read from it,
//! or the reason for which it is refused. The files lie outside the repository: those that `../shared/cases/make.py` makes, and
//! the folder `files` beside that program. `LAPIDARY_CASES=DIR` names another folder with both. Where the program or Python is
//! missing, as in CI, the test prints SKIPPED.
//!
//! Values of images and tensors in the table were computed with NumPy and Pillow, not with this library.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lapidary;
use crate::reading::{longs, npy, npz};
use lapidary::Result;
use lapidary::data::{Kept, LabelledImages, Part, Prepared, Reading, Source, Split, Viewed};
use lapidary::model::Checkpoint;
use serde_json::{Value, json};

/// The folders that the table's paths begin with, and the one that commands run in.
struct Places {
    made: PathBuf,
    files: PathBuf,
    work: PathBuf,
}

impl Places {
    /// A path of the table on this machine; other words stay as they are.
    fn of(&self, word: &str) -> String {
        for (name, folder) in [("OUT/", &self.made), ("FILES/", &self.files)] {
            if let Some((before, rest)) = word.split_once(name) {
                return format!("{before}{}", folder.join(rest).display());
            }
        }
        word.to_owned()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map(|all| all.iter().map(text).collect()).unwrap_or_default()
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap() as u32
}

/// The words that are missing in what was said.
fn untold<'a>(words: &'a Value, said: &str) -> Vec<&'a str> {
    texts(words).into_iter().filter(|word| !said.contains(word)).collect()
}

/// For each label the number of images, and the mean of their checksums: of each value in [0, 1] times its place among 97,
/// counted from 1, so that no values can change places unseen.
fn summed(images: &[&Prepared]) -> (Vec<usize>, Vec<f64>) {
    let (mut counts, mut sums) = (Vec::new(), Vec::new());
    for part in images {
        let size = part.images().len() / part.len().max(1);
        for (image, &label) in part.images().chunks(size.max(1)).zip(part.labels()) {
            let label = label as usize;
            counts.resize(counts.len().max(label + 1), 0);
            sums.resize(counts.len(), 0.0);
            let weighted = image.iter().enumerate();
            let weighted = weighted.map(|(at, &value)| f64::from(value) * (at % 97 + 1) as f64);
            counts[label] += 1;
            sums[label] += weighted.sum::<f64>() / size as f64;
        }
    }
    let means = counts.iter().zip(&sums).map(|(&count, sum)| sum / (count as f64).max(1.0));
    let means = means.collect();
    (counts, means)
}

/// What was read: images of each label, checksums, class names, and what was said.
type Found = Result<((Vec<usize>, Vec<f64>), Vec<String>, String)>;

/// All images that training has; of data without a test part those that are held out, too.
fn trained(source: &Source, side: u32) -> Found {
    let divided = source.is_divided()?;
    let held_out = usize::from(!divided);
    let split = Split {
        held_out: (Kept::Images(held_out), 1),
        validation: (Kept::Images(0), 0),
        most_test: 1000,
    };
    let parts = source.parts(Reading::new(side, None, 0.0, &[]), split)?;
    let LabelledImages::Prepared(train) = &parts.train else {
        panic!("pictures this small are read at once")
    };
    let mut images: Vec<&Prepared> = vec![train];
    images.extend((!divided).then_some(&parts.test));
    Ok((summed(&images), parts.class_names, parts.damaged.join("\n")))
}

fn judged(source: &Source, ends: [u32; 3]) -> Found {
    let found = source.evaluation(ends, None, 0.0)?;
    Ok((summed(&[&found.images]), found.class_names, found.notes.join("\n")))
}

/// Data: `train` and `test` are counts and checksums, or words of the refusal; `said` and `tested` are words of the notes.
fn data(row: &Value, places: &Places) -> Vec<String> {
    let path = places.of(text(&row["file"]));
    let source = Source::parse(&path).unwrap();
    let [channels, side, count] = ["channels", "side", "count"].map(|key| number(&row[key]));
    let found =
        [("train", trained(&source, side)), ("test", judged(&source, [channels, side, count]))];
    let wrong = |(part, found): (&str, Found)| {
        let right = &row[part];
        match found {
            Err(error) if right.is_array() => {
                let reason = error.to_string();
                let name = Path::new(&path).file_name().unwrap().to_str().unwrap();
                let missing = untold(right, &reason);
                (!missing.is_empty() || !reason.contains(name))
                    .then(|| format!("{part}: {missing:?} is not in the refusal {reason:?}"))
            }
            Err(error) => Some(format!("{part}: refused with {:?}", error.to_string())),
            Ok(found) if right.is_array() => Some(format!("{part}: {found:?} was read, {right}")),
            Ok(((counts, sums), names, said)) => {
                let wanted: Vec<f64> = serde_json::from_value(right["sums"].clone()).unwrap();
                let near = sums.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 2e-3);
                let same = json!(counts) == right["counts"] && sums.len() == wanted.len() && near;
                let key = if part == "train" { "said" } else { "tested" };
                let missing = untold(&row[key], &said);
                (!same || json!(names) != row["classes"] || !missing.is_empty()).then(|| {
                    format!("{part}: {counts:?} {sums:?} {names:?}, {missing:?} not in {said:?}")
                })
            }
        }
    };
    found.into_iter().filter_map(wrong).collect()
}

/// Names and shapes of a wide residual network, as the generator orders them.
fn shapes(depth: usize, widen: usize) -> Vec<(String, Vec<usize>)> {
    let norm = |name: String, side: usize| {
        ["weight", "bias", "running_mean", "running_var"]
            .map(|part| (format!("{name}.{part}"), vec![side]))
    };
    let mut all = vec![("conv1.weight".to_owned(), vec![16, 3, 3, 3])];
    let mut last = 16;
    for (block, side) in (1..).zip([16 * widen, 32 * widen, 64 * widen]) {
        for layer in 0..(depth - 4) / 6 {
            let into = if layer == 0 { last } else { side };
            let at = format!("block{block}.layer.{layer}");
            all.extend(norm(format!("{at}.bn1"), into));
            all.push((format!("{at}.conv1.weight"), vec![side, into, 3, 3]));
            all.extend(norm(format!("{at}.bn2"), side));
            all.push((format!("{at}.conv2.weight"), vec![side, side, 3, 3]));
            if into != side {
                all.push((format!("{at}.convShortcut.weight"), vec![side, into, 1, 1]));
            }
        }
        last = side;
    }
    all.extend(norm("bn1".to_owned(), last));
    all.push(("fc.weight".to_owned(), vec![10, last]));
    all.push(("fc.bias".to_owned(), vec![10]));
    all
}

/// The generator's number at a place of the storage of tensor `seed`.
fn made(place: usize, seed: usize) -> f32 {
    ((1 + (place * 2_654_435_761 + seed * 40_503) % 997) as f64 / 9970.0) as f32
}

/// Says which of a network's tensors are not the generator's.
fn tensors(row: &Value, checkpoint: &Checkpoint) -> Vec<String> {
    let [depth, widen] = ["depth", "widen"].map(|key| number(&row[key]) as usize);
    let (zeros, last) = (row["layout"] == "zeros", row["layout"] == "channels last");
    let wanted = shapes(depth, widen);
    let mut wrong = Vec::new();
    let names: BTreeSet<&str> = checkpoint.weights.iter().map(|(name, _)| name).collect();
    if names != wanted.iter().map(|(name, _)| name.as_str()).collect() {
        wrong.push(format!("tensors {names:?}"));
    }
    for (seed, (name, shape)) in wanted.iter().enumerate() {
        let Ok(tensor) = checkpoint.weights.get(name) else { continue };
        let value = |place: usize| match shape[..] {
            _ if zeros => 0.0,
            [_, inputs, rows, columns] if last => {
                let pixels = rows * columns;
                let (image, channel, pixel) =
                    (place / (inputs * pixels), place / pixels % inputs, place % pixels);
                made(image * inputs * pixels + pixel * inputs + channel, seed)
            }
            _ => made(place, seed),
        };
        let right = |(place, &found): (usize, &f32)| found == value(place);
        if tensor.shape != *shape || !tensor.data.iter().enumerate().all(right) {
            wrong.push(format!("{name} has shape {:?} and other numbers", tensor.shape));
        }
    }
    wrong
}

/// A checkpoint that `convert` writes anew: the tensors, the normalisation and what is said are right.
fn checkpoint(row: &Value, places: &Places) -> Vec<String> {
    let path = places.of(text(&row["file"]));
    let own = row["normalisation"] == "own";
    let fixed = ["convert", &path, "converted.safetensors", "--side", "32"];
    let mut more = vec!["--activation", "relu"];
    more.extend((!own).then_some("--no-normalisation"));
    let [converted, inspected] = [[&fixed[..], &more].concat(), vec!["inspect", path.as_str()]]
        .map(|arguments| lapidary(&places.work, &arguments));
    let said = |output: &std::process::Output| {
        [&output.stdout[..], &output.stderr]
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let ([_, refusal], [told, _]) = (said(&converted), said(&inspected));
    if !converted.status.success() || !inspected.status.success() {
        return vec![refusal];
    }
    let read = Checkpoint::read(places.work.join("converted.safetensors")).unwrap();
    let mut wrong = tensors(row, &read);
    let numbers = (0..3).map(|place| made(place, 5)).collect::<Vec<_>>();
    let normalisation = read.metadata.normalisation.map(|found| [found.mean, found.std]);
    if normalisation != own.then(|| [numbers.clone(), numbers]) {
        wrong.push(format!("normalisation {normalisation:?}"));
    }
    let missing = untold(&row["said"], &told);
    if !missing.is_empty() {
        wrong.push(format!("{missing:?} is not in {told}"));
    }
    wrong
}

/// A checkpoint with too few tensors for a network: they are read, with these sums.
fn parts(row: &Value, places: &Places) -> Vec<String> {
    let read = match Checkpoint::read(places.of(text(&row["file"]))) {
        Ok(read) => read,
        Err(error) => return vec![error.to_string()],
    };
    let sum = |data: &[f32]| data.iter().map(|&number| f64::from(number)).sum::<f64>();
    let found: BTreeMap<_, _> = read
        .weights
        .iter()
        .map(|(name, tensor)| (name, (&tensor.shape, sum(&tensor.data))))
        .collect();
    let wanted: BTreeMap<&str, (Vec<usize>, f64)> = row["tensors"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, about)| (name.as_str(), serde_json::from_value(about.clone()).unwrap()))
        .collect();
    let near = found.keys().eq(wanted.keys())
        && found
            .values()
            .zip(wanted.values())
            .all(|(a, b)| *a.0 == b.0 && (a.1 - b.1).abs() < 1e-4);
    if near { vec![] } else { vec![format!("{found:?}")] }
}

/// A picture's mean red, green and blue in bytes.
fn picture(row: &Value, places: &Places) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = places.of(text(&row["file"]));
    let name = Path::new(&path).file_name().unwrap();
    std::fs::copy(&path, folder.path().join(name)).unwrap();
    let seen = Source::parse(folder.path().to_str().unwrap()).and_then(|source| source.viewed());
    let Ok(Viewed::Pictures(seen)) = seen else { return vec![format!("{seen:?}")] };
    let (planes, size) = match seen.view(0) {
        Ok(view) => view,
        Err(error) => return vec![error.to_string()],
    };
    let plane = (size[0] * size[1]) as usize;
    let mean = |plane: &[f32]| 255.0 * plane.iter().sum::<f32>() / plane.len() as f32;
    let means: Vec<f32> = planes.chunks(plane).map(mean).collect();
    let wanted: Vec<f32> = serde_json::from_value(row["colour"].clone()).unwrap();
    let near = means.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1.5);
    let sized = json!(size) == row["size"];
    if near && sized && means.len() == 3 { vec![] } else { vec![format!("{means:?} of {size:?}")] }
}

/// A folder of pictures of many kinds: all are there, and this many of them are grey.
fn pictures(row: &Value, places: &Places) -> Vec<String> {
    let seen = Source::parse(&places.of(text(&row["file"]))).and_then(|source| source.viewed());
    let Ok(Viewed::Pictures(seen)) = seen else { return vec![format!("{seen:?}")] };
    let is_grey = |(planes, [height, width]): (Vec<f32>, [u32; 2])| {
        let plane = (height * width) as usize;
        planes[..plane] == planes[plane..2 * plane] && planes[..plane] == planes[2 * plane..]
    };
    let count = seen.len() as u32;
    let grey: Result<Vec<bool>> = (0..count).map(|at| seen.view(at).map(is_grey)).collect();
    let grey = grey.map(|grey| grey.into_iter().filter(|grey| *grey).count());
    let right = matches!(grey, Ok(grey) if grey as u32 == number(&row["grey"]));
    let all = count == number(&row["pictures"]);
    if right && all { vec![] } else { vec![format!("{count} pictures, {grey:?} of them grey")] }
}

/// A command: it succeeds and answers with numbers in these ranges and with these texts, the same as others of its group or
/// another, or it is refused with these words.
fn command(row: &Value, places: &Places, groups: &mut BTreeMap<String, Value>) -> Vec<String> {
    let words: Vec<String> =
        text(&row["run"]).split_whitespace().map(|word| places.of(word)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = lapidary(&places.work, &words);
    let [told, said] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if let Some(refused) = row.get("refused") {
        let missing = untold(refused, &said);
        let sound = !output.status.success() && missing.is_empty() && !said.contains('\u{1b}');
        return if sound { vec![] } else { vec![format!("{missing:?} not in {told} {said}")] };
    }
    if !output.status.success() {
        return vec![said];
    }
    let mut wrong = Vec::new();
    let missing = untold(&row["said"], &[told.as_str(), &said].concat());
    if !missing.is_empty() {
        wrong.push(format!("{missing:?} not in {told} {said}"));
    }
    let answer = serde_json::from_str::<Value>(&told).unwrap_or_default();
    for (at, right) in row["answer"].as_object().into_iter().flatten() {
        let found = answer.pointer(at).unwrap_or(&Value::Null);
        let fits = match (found.as_f64(), right.as_array().map(Vec::as_slice)) {
            (Some(found), Some([low, high])) => {
                (low.as_f64().unwrap()..=high.as_f64().unwrap()).contains(&found)
            }
            _ => found == right,
        };
        if !fits {
            wrong.push(format!("{at} is {found}, {right} wanted, in {told}"));
        }
    }
    for (key, alike) in [("same", true), ("other", false)] {
        let Some([group, at]) = row.get(key).map(|same| [&same[0], &same[1]].map(text)) else {
            continue;
        };
        let found = answer.pointer(at).cloned().unwrap_or_default();
        let new = if alike { found.clone() } else { Value::Null };
        let before = groups.entry(group.into()).or_insert(new);
        if found.is_null() || (*before == found) != alike {
            wrong.push(format!("{at} is {found}, and {before} for the others"));
        }
    }
    wrong
}

/// What the table has to name: each file, or the folder that is one set of images.
fn all(places: &Places) -> BTreeSet<String> {
    let list = |folder: &Path, name: &str| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let entries: Vec<_> =
            entries.map(|entry| format!("{name}/{}", entry.into_string().unwrap())).collect();
        entries
    };
    let mut found = BTreeSet::new();
    for (folder, name, shelves) in [
        (&places.made, "OUT", &["pth", "npz", "modes", "exif", "fid"][..]),
        (&places.files, "FILES", &["ckpt", "data"]),
    ] {
        for entry in list(folder, name) {
            let inside = entry.split_once('/').unwrap().1;
            if shelves.contains(&inside) {
                found.extend(list(&folder.join(inside), &entry));
            } else {
                found.insert(entry);
            }
        }
    }
    found
}

/// The first 200 test images that are built in: `ood_upside_down.npz` has the same, upside down.
fn first_images(path: &Path) {
    let test = Source::parse("builtin:fashion").unwrap().load(Part::Test, 28).unwrap();
    let labels: Vec<i64> = test.labels()[..200].iter().map(|&label| i64::from(label)).collect();
    let pixels: Vec<u8> = (0..200).flat_map(|i| test.image(i).unwrap().to_vec()).collect();
    let images = npy("|u1", false, &[200, 28, 28], &pixels);
    npz(path, &[("images", images), ("labels", longs(&labels))]);
}

#[test]
fn every_handed_file_is_read_or_refused_for_its_reason() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases");
    let cases = std::env::var_os("LAPIDARY_CASES").map_or_else(beside, PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    let places = Places {
        made: folder.path().join("made"),
        files: cases.join("files"),
        work: folder.path().join("work"),
    };
    let make = cases.join("make.py");
    let python = || Command::new("python3").arg(&make).arg(&places.made).output();
    let Some(output) = make.exists().then(python).and_then(std::result::Result::ok) else {
        println!("SKIPPED: {} or python3 is not there", make.display());
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::create_dir(&places.work).unwrap();
    super::distances::extractor(&places.work.join("lite0.safetensors"));
    first_images(&places.work.join("first200.npz"));
    let table = include_str!("handed.json");
    let table: Vec<Value> = serde_json::from_str(table).unwrap();
    let (mut named, mut wrong) = (BTreeSet::new(), Vec::new());
    let mut groups = BTreeMap::new();
    for row in &table {
        named.insert(text(&row["file"]).to_owned());
        let found = match row {
            row if row.get("run").is_some() => command(row, &places, &mut groups),
            row if row.get("train").is_some() => data(row, &places),
            row if row.get("depth").is_some() => checkpoint(row, &places),
            row if row.get("tensors").is_some() => parts(row, &places),
            row if row.get("pictures").is_some() => pictures(row, &places),
            row => picture(row, &places),
        };
        let about = [text(&row["file"]), text(&row["run"])].join(" ");
        wrong.extend(found.iter().map(|found| format!("{about}: {found}")));
    }
    let untested: Vec<_> = all(&places).difference(&named).cloned().collect();
    assert!(untested.is_empty(), "not in the table: {untested:?}");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}
