//! Prints the public API that a file of rustdoc's JSON describes, one line for each item. The methods that a trait asks of
//! its implementers are listed with the trait alone, and the members of a type once: further paths to it are `pub use`
//! lines.
//!
//!     lapidary-api FILE.json

use std::collections::HashSet;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("the path of rustdoc's JSON is needed")?;
    let api = public_api::Builder::from_rustdoc_json(file)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    let (mut implementer, mut listed, mut modules) = (None, HashSet::new(), HashSet::new());
    for item in api.items() {
        let line = item.to_string();
        if line.starts_with("pub mod ") {
            modules.insert(item.id());
        }
        if !listed.insert(item.id()) {
            // Only what lies in a module is a path of its own; members come with their type.
            let path = line.split([' ', '<', '(', '{']).find(|word| word.contains("::"));
            if let (Some(path), Some(parent)) = (path, item.parent_id())
                && modules.contains(&parent)
            {
                println!("pub use {}", path.trim_end_matches(':'));
            }
            continue;
        }
        if line.starts_with("impl") {
            let of = line.split_once(" for ").map(|(_, of)| of.split('<').next().unwrap_or(of));
            implementer = of.map(str::to_owned);
        } else if let Some(of) = &implementer
            && ["pub fn ", "pub async fn ", "pub const ", "pub type "]
                .iter()
                .any(|kind| line.strip_prefix(kind).is_some_and(|rest| rest.starts_with(of)))
        {
            continue;
        }
        println!("{line}");
    }
    Ok(())
}
