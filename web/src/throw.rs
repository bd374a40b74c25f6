//! Turns the library's errors into JavaScript's: the same message, and a name that a page can act on.

use lapidary::Error;
use wasm_bindgen::JsValue;

/// The result of functions that JavaScript calls.
pub type Thrown<T> = Result<T, JsValue>;

/// Makes a JavaScript `Error` whose `name` is the variant of the library's error.
pub fn throw(error: Error) -> JsValue {
    let name = match &error {
        Error::NoAdapter(_) => "NoAdapter",
        Error::MissingLimit { .. } => "MissingLimit",
        Error::Mismatch { .. } => "Mismatch",
        Error::OutOfMemory(_) => "OutOfMemory",
        Error::DeviceLost(_) => "DeviceLost",
        Error::BadFile { .. } => "BadFile",
        Error::NonFinite { .. } => "NotFinite",
        Error::Diverged { .. } => "Diverged",
        Error::Stopped => "AbortError",
        Error::Bug { .. } => "Bug",
        _ => "GpuError",
    };
    let thrown = js_sys::Error::new(&error.to_string());
    thrown.set_name(name);
    thrown.into()
}
