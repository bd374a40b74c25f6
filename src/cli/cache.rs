//! The program's cache folder, with compiled pipelines and the fastest kernels measured for each adapter. It may be deleted at
//! any time.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::terminal::tell;
use crate::gpu::Gpu;
use crate::model::checkpoint::write_atomically;

/// `LAPIDARY_CACHE` names another folder; this says that there is none.
const OFF: &str = "off";

/// Returns the program's cache folder. `None` where the system has no folder for caches, or none is wanted.
pub fn folder() -> Option<PathBuf> {
    let named = |key: &str| std::env::var_os(key).filter(|value| !value.is_empty());
    if let Some(given) = named("LAPIDARY_CACHE") {
        return (given != OsStr::new(OFF)).then(|| given.into());
    }
    let folder = named("XDG_CACHE_HOME").or_else(|| named("LOCALAPPDATA")).map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(named("HOME")?).join(".cache")));
    folder.map(|folder| folder.join("lapidary"))
}

/// The two files in the cache folder with a device's compiled kernels and results of tuning.
#[derive(Debug)]
pub struct Kept {
    gpu: Gpu,
    pipelines: File,
    choices: File,
}

impl Kept {
    /// Loads a device's results of tuning and compiled kernels from the folder. Unreadable files count as missing.
    pub fn load(gpu: &Gpu, folder: &Path) -> Self {
        let device = crc32fast::hash(gpu.fingerprint().as_bytes());
        let file =
            |what: &str, sort: &str| File::read(folder.join(format!("{what}-{device:08x}.{sort}")));
        let (pipelines, choices) = (file("pipelines", "bin"), file("choices", "json"));
        keep_pipelines(gpu, pipelines.contents.as_deref());
        if let Some(Err(error)) = choices.contents.as_ref().map(|kept| gpu.keep_measured(kept)) {
            let path = choices.path.display();
            tell(&format!("{path} is ignored, and its kernels are measured anew: {error}"));
        }
        Self { gpu: gpu.clone(), pipelines, choices }
    }

    /// Saves the device's compiled kernels and results of tuning, each where it differs from what was loaded.
    pub fn save(&self) {
        self.pipelines.write(self.gpu.pipelines());
        self.choices.write(self.gpu.measured().map(String::into_bytes));
    }
}

/// Gives the device its pipeline cache; without one of the driver's, or where this fails, pipelines are compiled anew.
#[expect(unsafe_code, reason = "here it is known where the bytes come from")]
fn keep_pipelines(gpu: &Gpu, kept: Option<&[u8]>) {
    // SAFETY: the bytes lie in the user's own folder for caches, or in the one that the user named; who can write there can
    // change the user's programs as well.
    let _ = pollster::block_on(unsafe { gpu.keep_pipelines(kept) });
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    contents: Option<Vec<u8>>,
}

impl File {
    fn read(path: PathBuf) -> Self {
        let contents = fs::read(&path).ok();
        Self { path, contents }
    }

    /// Writes the file. A failure is not reported: the next start merely takes longer.
    fn write(&self, contents: Option<Vec<u8>>) {
        let Some(contents) = contents.filter(|new| self.contents.as_ref() != Some(new)) else {
            return;
        };
        // Other processes may write at the same time.
        let own = self.path.with_extension(std::process::id().to_string());
        let made = self.path.parent().map_or(Ok(()), fs::create_dir_all);
        if made.is_ok() && write_atomically(&own, &contents).is_ok() {
            let _ = fs::rename(&own, &self.path);
        }
    }
}
