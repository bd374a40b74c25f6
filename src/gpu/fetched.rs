//! Shaders that are not in a page's wasm file but in one beside it, `shaders.json`, which the package fetches while the device opens:
//! those of kernels that only GPUs or only CPU rasterisers run, and of one that only training runs.

use crate::{Error, Result};
use serde_json::{Map, Value};
use std::sync::OnceLock;

static SHADERS: OnceLock<Map<String, Value>> = OnceLock::new();

/// Takes the shaders that programs may use from now on, as JSON: `version`, which has to be this library's, and `shaders`, the text
/// of each by its file's name in `shaders/`, without its ending. Err for anything else: then programs do without them.
pub fn provide_shaders(json: &str) -> Result<()> {
    let wanted = env!("CARGO_PKG_VERSION");
    let mut all: Value = serde_json::from_str(json).map_err(|error| {
        let given = format_args!("a text that is no JSON ({error})");
        Error::mismatch("shaders.json", given, "a file that scripts/web made")
    })?;
    if all["version"] != wanted {
        let given = format_args!("shaders of version {}", all["version"]);
        return Err(Error::mismatch("shaders.json", given, format_args!("those of {wanted}")));
    }
    let Value::Object(shaders) = all["shaders"].take() else {
        let wanted = "an object `shaders`, as scripts/web makes it";
        return Err(Error::mismatch("shaders.json", "none", wanted));
    };
    // They are those of this version, so the first are as good as any later ones.
    let _ = SHADERS.set(shaders);
    Ok(())
}

/// Whether [`provide_shaders`] was called.
pub(crate) fn has_all_shaders() -> bool {
    SHADERS.get().is_some()
}

/// Returns a part of a kernel's text: the part itself, or the shader whose name it is in angle brackets, with which no WGSL begins.
pub(super) fn text(part: &str) -> &str {
    let name = part.strip_prefix('<').and_then(|name| name.strip_suffix('>'));
    name.map_or(part, |name| {
        SHADERS.get().and_then(|all| all.get(name)).and_then(Value::as_str).unwrap_or_default()
    })
}
