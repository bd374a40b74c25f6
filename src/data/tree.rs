//! Lists the files and folders below a folder or in a zip archive, in the order in which classes are numbered.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Folders within each other. More are a link to one above.
const DEEPEST: usize = 16;

/// Files and folders below a root, by their names from there, with `/` between them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    /// Paths of files, each with the index of the file or entry that holds its bytes.
    pub files: Vec<(String, usize)>,
    pub folders: BTreeSet<String>,
}

impl Tree {
    /// Reads the tree of a folder; the paths are the files' places.
    pub fn of_folder(root: &Path) -> Result<(Self, Vec<PathBuf>)> {
        let (mut tree, mut paths) = (Self::default(), Vec::new());
        tree.walk(root, "", 0, &mut paths)?;
        tree.files.sort();
        Ok((tree, paths))
    }

    fn walk(
        &mut self,
        folder: &Path,
        name: &str,
        depth: usize,
        paths: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let failed = |error: std::io::Error| Error::bad_file(folder, error);
        if depth > DEEPEST {
            let reason = format!("its folders are nested more than {DEEPEST} deep");
            return Err(Error::bad_file(folder, reason));
        }
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let own = entry.file_name().to_string_lossy().into_owned();
            if is_hidden(&own) {
                continue;
            }
            let path = entry.path();
            let kind = entry.file_type().map_err(failed)?;
            let full = if name.is_empty() { own } else { format!("{name}/{own}") };
            if kind.is_dir() || (kind.is_symlink() && path.is_dir()) {
                self.folders.insert(full.clone());
                self.walk(&path, &full, depth + 1, paths)?;
            } else {
                self.files.push((full, paths.len()));
                paths.push(path);
            }
        }
        Ok(())
    }

    /// Adds a file, or a folder where the name ends with a slash, and the folders above; hidden ones are left out.
    pub fn add(&mut self, name: &str, place: usize) {
        let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
        if parts.iter().any(|part| is_hidden(part)) || parts.len() > DEEPEST {
            return;
        }
        let folders = if name.ends_with('/') { parts.len() } else { parts.len().saturating_sub(1) };
        for end in 1..=folders {
            self.folders.insert(parts.iter().take(end).copied().collect::<Vec<_>>().join("/"));
        }
        if !name.ends_with('/') {
            self.files.push((parts.join("/"), place));
        }
    }

    /// Returns the names of the folders in the root of the tree.
    pub fn top(&self) -> Vec<String> {
        self.folders.iter().filter(|name| !name.contains('/')).cloned().collect()
    }

    /// Returns the tree of files below a folder.
    pub fn below(&self, folder: &str) -> Self {
        let inner = |name: &str| Some(name.strip_prefix(folder)?.strip_prefix('/')?.to_owned());
        let files = self.files.iter().filter_map(|(name, place)| Some((inner(name)?, *place)));
        Self {
            files: files.collect(),
            folders: self.folders.iter().filter_map(|name| inner(name)).collect(),
        }
    }
}

/// Names that systems make for themselves.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || ["__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_of_names() {
        let mut tree = Tree::default();
        for (place, name) in ["a/b/1.png", "a/2.png", "c/", "a/.x/3.png", "__MACOSX/a/1.png", ".y"]
            .iter()
            .enumerate()
        {
            tree.add(name, place);
        }
        assert_eq!(tree.top(), ["a", "c"]);
        assert_eq!(tree.files.len(), 2);
        assert_eq!(tree.below("a").files, [("b/1.png".into(), 0), ("2.png".into(), 1)]);
        assert_eq!(tree.below("a").top(), ["b"]);
    }
}
