//! Puts a checksum into JSON objects that are kept on disk, so that an evaluation never goes on from a changed or damaged state.

/// The text before the checksum and after it, which are the object's last field.
const MARKS: [&str; 2] = [",\"checksum\":\"", "\"}"];

/// Appends the CRC-32 of an object's text as its last field.
pub(crate) fn seal(object: &str) -> String {
    let body = object.trim_end().strip_suffix('}').unwrap_or(object).trim_end();
    let [before, behind] = MARKS;
    format!("{body}{before}{:08x}{behind}\n", crc32fast::hash(body.as_bytes()))
}

/// The object without that field. Err with what is wrong where there is none, or it is of another text.
pub(crate) fn unseal(text: &str) -> Result<String, String> {
    let [before, behind] = MARKS;
    let parts = text.trim_end().strip_suffix(behind).and_then(|text| text.rsplit_once(before));
    let (body, kept) = parts.ok_or("no checksum at the end: the file was cut off or changed")?;
    let found = format!("{:08x}", crc32fast::hash(body.as_bytes()));
    if kept != found {
        return Err(format!(
            "contents with the checksum {found}, not {kept} as stored: the file was changed or damaged"
        ));
    }
    Ok(format!("{body}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_noticed() {
        for object in ["{\"a\":1.5,\"b\":\"}\"}", "{\n  \"a\": [0, 1]\n}\n"] {
            let sealed = seal(object);
            let fields = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(fields(&unseal(&sealed).unwrap()), fields(object));
            assert!(fields(&sealed)["checksum"].is_string(), "still an object");
            for at in 0..sealed.trim_end().len() {
                let mut other = sealed.clone().into_bytes();
                other[at] ^= 1;
                assert!(unseal(&String::from_utf8(other).unwrap()).is_err(), "{at} of {sealed}");
            }
            assert!(unseal(&sealed[..sealed.len() / 2]).is_err());
            assert!(unseal(object).is_err());
        }
    }
}
