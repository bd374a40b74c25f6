//! lapidary for Python: the module `lapidary._native`, which binds the library's own types. The code here converts arguments and
//! results, releases the interpreter's lock while the library works, and passes Ctrl-C on; all computation is in the library.

#[macro_use]
mod about;
mod arrays;
mod attack_result;
mod attacks;
mod calls;
mod data;
mod devices;
mod errors;
mod extractor;
mod loading;
mod metrics;
mod model;
mod outputs;
mod pictures;
mod progress;
mod ready;
mod runs;
mod samples;
mod training;

use pyo3::prelude::*;

/// Bindings of the Rust library; `lapidary` re-exports what is meant for users.
#[pymodule]
#[pyo3(name = "_native")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    arrays::register(module)?;
    devices::register(module)?;
    model::register(module)?;
    loading::register(module)?;
    attack_result::register(module)?;
    progress::register(module)?;
    samples::register(module)?;
    extractor::register(module)?;
    metrics::register(module)?;
    data::register(module)?;
    training::register(module)?;
    runs::register(module)
}
