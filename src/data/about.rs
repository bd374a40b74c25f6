//! Facts about a set of images beside pixels and labels: names of classes, damaged files, notes for the user.

/// Said by files and folders, or found while they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    /// The name of each class, in the order of labels; empty where nothing says them.
    pub class_names: Vec<String>,
    /// What was to be an image and could not be read: a sentence each, with the file's path.
    pub damaged: Vec<String>,
    /// What was left out or is unusual, a sentence each.
    pub notes: Vec<String>,
    /// Whether the number of classes is but the highest label plus one, so that labels which begin at 1 or have gaps would make
    /// classes without images.
    pub numbered: bool,
    /// Why there are no labels, if there are none: all count as of class 0.
    pub unlabelled: Option<String>,
}

impl About {
    /// What is known of a data set whose labels have no names.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn numbered() -> Self {
        Self { numbered: true, ..Self::default() }
    }
}
