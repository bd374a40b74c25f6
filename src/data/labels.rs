//! Checks labels, which are the numbers of classes from 0 on. Numbers that are not below the network's number of classes are
//! refused. Where classes have no names, numbers from 1 on or with gaps are refused in training: a class would have no images.

use super::about::About;

/// Why a network cannot learn from these labels.
pub(super) fn not_taught(labels: &[u32], classes: u32, about: &About) -> Option<String> {
    if let Some(reason) = &about.unlabelled {
        return Some(format!("its images have no labels: {reason}"));
    }
    if labels.is_empty() {
        return Some("it has no images".into());
    }
    if classes < 2 {
        let name = about.class_names.first().map_or(String::new(), |name| format!(", {name:?}"));
        return Some(format!(
            "all its images are of one class{name}, but two or more classes are needed"
        ));
    }
    if !about.numbered {
        return None;
    }
    match missing(labels, classes).as_slice() {
        [] => None,
        [0] => Some(begin_at_one(classes - 1)),
        missing => Some(format!(
            "labels up to {} without {}: number the existing classes from 0",
            classes - 1,
            some(missing)
        )),
    }
}

/// Why a network of `classes` cannot be judged by these labels.
pub(super) fn not_judged(labels: &[u32], classes: u32, about: &About) -> Option<String> {
    if let Some(reason) = &about.unlabelled {
        return Some(format!("its images have no labels: {reason}"));
    }
    let highest = labels.iter().max().copied().unwrap_or(0);
    // Where the classes have names, those are matched with the network's.
    if highest < classes || !about.numbered {
        return None;
    }
    let from_one = highest == classes && !labels.contains(&0);
    let reason =
        if from_one { begin_at_one(highest) } else { "labels have to be below that".into() };
    Some(format!("there is a label {highest}, but the network has {classes} classes: {reason}"))
}

/// Returns a warning about labels that can be used but look like a mistake.
pub(super) fn unusual(labels: &[u32], classes: u32, about: &About) -> Option<String> {
    let missing = missing(labels, classes);
    let from_one = about.numbered && missing.first() == Some(&0);
    let hint = if from_one { "; if its labels begin at 1, subtract 1 from each" } else { "" };
    (!missing.is_empty()).then(|| {
        let names = missing.iter().map(|&class| about.class_names.get(class as usize));
        let names: Option<Vec<&String>> = names.collect();
        let named = names.map_or_else(
            || some(&missing),
            |names| {
                names.iter().take(5).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
            },
        );
        format!("{} of {classes} classes have no image: {named}{hint}", missing.len())
    })
}

fn begin_at_one(highest: u32) -> String {
    format!(
        "labels 1 to {highest} begin at 1, but have to begin at 0: subtract 1 from each (labels - 1 in NumPy)"
    )
}

/// Classes without an image.
fn missing(labels: &[u32], classes: u32) -> Vec<u32> {
    let mut there = vec![false; classes as usize];
    for &label in labels {
        if let Some(there) = there.get_mut(label as usize) {
            *there = true;
        }
    }
    (0..).zip(there).filter(|(_, there)| !there).map(|(class, _)| class).collect()
}

/// The first few, and how many more.
fn some(classes: &[u32]) -> String {
    let shown: Vec<String> = classes.iter().take(5).map(u32::to_string).collect();
    let more = classes.len().saturating_sub(5);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_make_empty_classes_are_told() {
        let numbered = About::numbered();
        let taught = |labels: &[u32]| {
            not_taught(labels, labels.iter().max().unwrap() + 1, &numbered).unwrap_or_default()
        };
        assert_eq!(taught(&[0, 2, 1]), "");
        assert!(taught(&[1, 2, 3]).contains("labels 1 to 3 begin at 1"));
        assert!(taught(&[0, 5, 2]).contains("without 1, 3, 4:"));
        assert!(taught(&[9, 0]).contains("1, 2, 3, 4, 5 and 3 more"));
        assert!(taught(&[0, 0]).contains("one class"));
        assert!(not_taught(&[], 1, &numbered).unwrap().contains("no images"));
        assert!(not_judged(&[1, 2, 3], 3, &numbered).unwrap().contains("begin at 1"));
        assert!(not_judged(&[0, 3], 3, &numbered).unwrap().contains("label 3"));
        assert_eq!(not_judged(&[1, 2], 3, &numbered), None);
        assert!(unusual(&[1, 2], 3, &numbered).unwrap().contains("subtract 1"));
        let names = ["a", "b", "c"].map(str::to_owned).into();
        let named = About { class_names: names, ..About::default() };
        assert_eq!(unusual(&[1, 2], 3, &named).unwrap(), "1 of 3 classes have no image: \"a\"");
    }
}
