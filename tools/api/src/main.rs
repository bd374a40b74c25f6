//! Prints the public API that a file of rustdoc's JSON tells of, an item a line. What a trait asks of its implementers is
//! listed with the trait alone.
//!
//!     lapidary-api FILE.json

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("the path of rustdoc's JSON is needed")?;
    let api = public_api::Builder::from_rustdoc_json(file)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    let mut implementer = None;
    for item in api.items() {
        let line = item.to_string();
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
