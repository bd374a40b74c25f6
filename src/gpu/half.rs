//! Rewrites a kernel's text so that some of its bindings hold numbers in half precision (16 bits). The kernel computes in
//! single precision as before: numbers are widened where they are read and rounded where they are stored. So every kernel has
//! a variant for each mix of bindings, and none has to be written.
//!
//! For `array<vec4f>` named x, `x[i]` becomes `vec4f(x[i])`, and `x[i] = v;` becomes `x[i] = vec4<f16>(v);`.

use super::{Access, Kernel, Trust};
use crate::{Error, Result};

/// A binding that is turned to half precision.
struct Halved<'a> {
    name: &'a str,
    /// The type of an element as the kernel computes with it.
    single: &'a str,
    /// The type of an element as the buffer holds it.
    half: &'static str,
}

impl Kernel {
    /// Returns the kernel's text, rewritten so that the bindings that `halves` marks (bit i for `bindings[i]`) hold numbers in
    /// half precision. Bindings that hold no floating-point numbers, or that are textures, stay as they are. Err if the text
    /// uses a marked binding in a way that this module cannot rewrite, which tests rule out for the library's own kernels.
    pub fn text_with(&self, halves: u32) -> Result<String> {
        let text = self.text();
        let mut halved = Vec::new();
        for (place, (name, access)) in self.bindings.iter().enumerate() {
            let asked = place < 32 && (halves >> place) & 1 == 1 && *access != Access::Texels;
            let single = element(&text, name).filter(|_| asked);
            if let Some((single, half)) =
                single.and_then(|single| Some((single, half(&text, single)?)))
            {
                halved.push(Halved { name, single, half });
            }
        }
        if halved.is_empty() {
            return Ok(text);
        }
        let enable = if text.contains("enable f16;") { "" } else { "enable f16;\n" };
        let body = rewritten(&text, &halved).map_err(|what| {
            let what = format_args!("a text that cannot be rewritten for half precision: {what}");
            if self.trust == Trust::OWN {
                return Error::bug(self.name, what);
            }
            let wanted = "bindings that are read as `name[index]` and written by statements `name[index] = value;`";
            Error::mismatch(self.name, what, wanted)
        })?;
        Ok(format!("{enable}{body}"))
    }
}

/// The type of the elements of a storage binding.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let declared = format!("> {name}: array<");
    let (_, rest) = text.split_once(&declared)?;
    rest.split_once(">;").map(|(element, _)| element)
}

/// The type in half precision; `None` for what is no floating-point number.
fn half(text: &str, single: &str) -> Option<&'static str> {
    match single {
        "f32" => Some("f16"),
        "vec4f" => Some("vec4<f16>"),
        "Elem" if text.contains("alias Elem = f32;") => Some("f16"),
        "Elem" if text.contains("alias Elem = vec4f;") => Some("vec4<f16>"),
        _ => None,
    }
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// The length of the text up to the bracket that closes the first one.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, character) in text.char_indices() {
        match character {
            '[' | '(' => depth += 1,
            ']' | ')' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// The operator of an assignment that the text begins with, and what follows it. `==` is none.
fn assignment(text: &str) -> Option<(&str, &str)> {
    let operator = ["=", "+=", "-=", "*=", "/="].into_iter().find(|o| text.starts_with(o))?;
    let rest = text.get(operator.len()..)?;
    (!rest.starts_with('=')).then_some((operator.trim_end_matches('='), rest))
}

/// Rewrites declarations, reads and stores of the halved bindings.
fn rewritten(text: &str, halved: &[Halved]) -> std::result::Result<String, String> {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            let end = rest.find('\n').unwrap_or(rest.len());
            out.push_str(rest.get(..end).unwrap_or_default());
            rest = rest.get(end..).unwrap_or_default();
            continue;
        }
        if !is_name(first) {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let end = rest.find(|character| !is_name(character)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let member = out.ends_with('.');
        rest = behind;
        let Some(binding) = halved.iter().find(|binding| binding.name == name && !member) else {
            out.push_str(name);
            continue;
        };
        let declared = format!(": array<{}>;", binding.single);
        if let Some(behind) = behind.strip_prefix(declared.as_str()) {
            out.push_str(&format!("{name}: array<{}>;", binding.half));
            rest = behind;
            continue;
        }
        if !behind.starts_with('[') {
            // A field or a local variable of the same name, or the length of the array.
            out.push_str(name);
            continue;
        }
        if out.ends_with('&') && !out.ends_with("&&") {
            return Err(format!("the shader takes a pointer to {name}"));
        }
        let close = closing(behind)
            .ok_or_else(|| format!("an index into {name} has no closing bracket"))?;
        let index = rewritten(behind.get(1..close).unwrap_or_default(), halved)?;
        let after = behind.get(close + 1..).unwrap_or_default();
        let (single, half) = (binding.single, binding.half);
        let Some((operator, value)) = assignment(after.trim_start()) else {
            out.push_str(&format!("{single}({name}[{index}])"));
            rest = after;
            continue;
        };
        let end =
            value.find(';').ok_or_else(|| format!("an assignment to {name} has no semicolon"))?;
        let value_text = rewritten(value.get(..end).unwrap_or_default(), halved)?;
        let value_text = value_text.trim();
        let stored = match operator {
            "" => value_text.to_owned(),
            operator => format!("{single}({name}[{index}]) {operator} ({value_text})"),
        };
        out.push_str(&format!("{name}[{index}] = {half}({stored})"));
        rest = value.get(end..).unwrap_or_default();
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Halved; 2] = [
        Halved { name: "x", single: "f32", half: "f16" },
        Halved { name: "y", single: "Elem", half: "vec4<f16>" },
    ];

    #[test]
    fn reads_widen_and_stores_round() {
        let cases = [
            ("let a = x[i + 1u] + b.x;", "let a = f32(x[i + 1u]) + b.x;"),
            (
                "y[u32(x[i])] = v * y[(2u + j)];",
                "y[u32(f32(x[i]))] = vec4<f16>(v * Elem(y[(2u + j)]));",
            ),
            ("y[i] += a - b;", "y[i] = vec4<f16>(Elem(y[i]) + (a - b));"),
            ("if x[i] == 0.0 { return; } // x[i]", "if f32(x[i]) == 0.0 { return; } // x[i]"),
            ("p.x[i] = max[i];", "p.x[i] = max[i];"),
            ("> y: array<Elem>; fn f(x: f32) {}", "> y: array<vec4<f16>>; fn f(x: f32) {}"),
        ];
        for (text, wanted) in cases {
            assert_eq!(rewritten(text, &BOTH).unwrap(), wanted);
        }
        rewritten("f(&x[i]);", &BOTH).unwrap_err();
    }
}
