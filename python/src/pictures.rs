//! Draws grids of images as PNG pictures, as in the library's reports, and makes HTML of pictures and tables for notebooks.

use lapidary::Result;
use lapidary::report::pictures::{Images, Picture, Sheet};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Draws images in their order, `columns` in each row.
pub fn grid(values: &[f32], channels: u32, side: u32, columns: usize) -> Result<Picture> {
    Sheet::grid(Images::new(values, channels, side)?, columns).draw()
}

/// Returns a picture as an HTML element that needs no other file.
pub fn element(py: Python<'_>, png: &[u8], alt: &str) -> PyResult<String> {
    let encoded = py.import("base64")?.call_method1("b64encode", (PyBytes::new(py, png),))?;
    let text: String = encoded.call_method1("decode", ("ascii",))?.extract()?;
    Ok(format!("<img alt=\"{}\" src=\"data:image/png;base64,{text}\">", escaped(alt)))
}

/// Escapes text for HTML.
pub fn escaped(text: &str) -> String {
    let with = |text: String, (from, to): (&str, &str)| text.replace(from, to);
    [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;")]
        .into_iter()
        .fold(text.to_owned(), with)
}

/// Makes an HTML table of rows of cells.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |tag: &str, cells: &mut dyn Iterator<Item = String>| {
        let each: String = cells.map(|cell| format!("<{tag}>{cell}</{tag}>")).collect();
        format!("<tr>{each}</tr>")
    };
    let head = cells("th", &mut head.iter().map(|name| escaped(name)));
    let rows: String =
        rows.iter().map(|row| cells("td", &mut row.iter().map(|cell| escaped(cell)))).collect();
    format!("<table><thead>{head}</thead><tbody>{rows}</tbody></table>")
}
