//! Tests what `sample` leaves behind: no half-written file, no folder that is named like a picture, and no mix with older
//! samples.

use std::fs;

use crate::reading::{longs, npy, npz};

#[test]
fn nothing_half_written_is_left_and_no_folder_is_named_like_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let left = || -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    };
    for out in ["x.gif", "x.jpg", "x.npy"] {
        let output =
            super::lapidary(folder, &["sample", "--count", "2", "--steps", "1", "--out", out]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(out) && said.contains("NAME.png, NAME.npz, NAME.tar"), "{said}");
    }
    // Begun, and then there is no adapter to go on with.
    for out in ["x.npz", "x.tar"] {
        let arguments = ["sample", "--count", "2", "--adapter", "nosuch", "--out", out];
        assert!(!super::lapidary(folder, &arguments).status.success());
    }
    assert_eq!(left(), [""; 0]);
    super::working(folder, &["sample", "--count", "3", "--steps", "1", "--out", "x.npz"]);
    super::working(folder, &["sample", "--count", "3", "--steps", "1", "--out", "pictures"]);
    let mut names = left();
    names.sort();
    assert_eq!(names, ["pictures", "x.npz"]);
    assert_eq!(fs::read_dir(folder.join("pictures")).unwrap().count(), 3);
    // Fewer ones would leave older samples among them.
    let fewer = ["sample", "--count", "2", "--steps", "1", "--out", "pictures"];
    let output = super::lapidary(folder, &fewer);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("1 pictures of another set"), "{said}");
    // What cannot be written is told before anything is drawn.
    for arguments in [
        &["sample", "--count", "2", "--out", "none/x.png"][..],
        &["attack", "--count", "2", "--out", "none/x.safetensors"],
        &["tune", "wrn-10-1", "--export", "none/table.json"],
    ] {
        let output = super::lapidary(folder, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains("its folder none does not exist"),
            "{said}"
        );
        assert!(!said.contains("evaluate"), "{said}");
    }
    // Both are data again.
    for data in ["x.npz", "pictures"] {
        let output = super::lapidary(
            folder,
            &["eval", "--data", "x.npz", "--steps", "1", "--ood", data, "--json"],
        );
        assert!(output.status.success(), "{data}");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["ood"][0]["images"], 3, "{data}");
    }
}

/// Pictures to start from come in an order that the seed determines, each once before any comes again.
#[test]
fn the_seed_orders_the_pictures_that_samples_start_from() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("starts")).unwrap();
    let shades: Vec<u8> = (0..6).map(|i| 20 + 40 * i).collect();
    for shade in &shades {
        let picture = image::GrayImage::from_pixel(16, 16, image::Luma([*shade]));
        picture.save(folder.join(format!("starts/{shade:03}.png"))).unwrap();
    }
    let starts = |seed: &str, count: &str| -> Vec<u8> {
        let out = format!("{seed}-{count}");
        let given = ["--start", "starts", "--seed", seed, "--count", count, "--out", &out];
        super::working(folder, &[&["sample", "--steps", "0"], &given[..]].concat());
        let files = fs::read_dir(folder.join(&out)).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        let shade = |file| image::open(file).unwrap().to_luma8().get_pixel(8, 8).0[0];
        files.iter().map(shade).collect()
    };
    let (first, second) = (starts("1", "6"), starts("2", "6"));
    assert_ne!(first, second, "another seed, another order");
    for order in [&first, &second] {
        let mut sorted = order.clone();
        sorted.sort();
        assert_eq!(sorted, shades);
    }
    assert_eq!(starts("1", "4"), first[..4]);
    let more = starts("1", "9");
    assert_eq!((&more[..6], more.len()), (&first[..], 9));
}

/// Without a step the images are written as they are: a random crop or a mirrored copy would not be what an attack made, say.
#[test]
fn images_are_written_unchanged_where_no_step_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let bytes: Vec<u8> = (0..5 * 256).map(|i| (i * i / 7 % 251) as u8).collect();
    let images = npy("|u1", false, &[5, 16, 16], &bytes);
    npz(&folder.join("five.npz"), &[("images", images), ("labels", longs(&[0, 1, 2, 3, 4]))]);
    let start = ["sample", "--start", "five.npz", "--steps", "0", "--count", "5", "--out", "five"];
    super::working(folder, &start);
    let files = fs::read_dir(folder.join("five")).unwrap();
    let mut written: Vec<_> = files
        .map(|file| image::open(file.unwrap().path()).unwrap().to_luma8().into_raw())
        .collect();
    let mut given: Vec<_> = bytes.chunks(256).map(<[u8]>::to_vec).collect();
    written.sort();
    given.sort();
    assert!(written == given);
}
