//! Facts about a set of images beside its pixels and labels: class names, files that could not be read, notes for the user.

/// Said by files and folders, or found while they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    /// The name of each class, in the order of labels; empty where nothing says them.
    pub class_names: Vec<String>,
    /// One sentence, with the file's path, for each image that could not be read.
    pub damaged: Vec<String>,
    /// One sentence for each thing that was left out or is unusual.
    pub notes: Vec<String>,
    /// Whether the number of classes was guessed as the highest label plus one, so that labels which begin at 1 or have
    /// gaps would make classes without images.
    pub numbered: bool,
    /// The reason why there are no labels, if there are none; all images then count as class 0.
    pub unlabelled: Option<String>,
}

impl About {
    /// Makes the description of a data set whose labels have no names.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn numbered() -> Self {
        Self { numbered: true, ..Self::default() }
    }
}
