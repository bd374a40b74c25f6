//! Tests what `sample` leaves behind: no half-written file, no folder that is named like a picture, and no mix with older
//! samples.

use std::fs;

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
