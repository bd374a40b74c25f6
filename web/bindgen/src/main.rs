//! Runs `wasm-bindgen --target web` as a program of this workspace, so that the lock file pins its version.
//!
//!     cargo run -p lapidary-web-bindgen -- FILE.wasm FOLDER

use std::env;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [wasm, folder] = &arguments[..] else {
        anyhow::bail!("two arguments are wanted, the wasm file and the folder to write into");
    };
    wasm_bindgen_cli_support::Bindgen::new()
        .input_path(wasm)
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .omit_default_module_path(false)
        .generate(folder)
}
