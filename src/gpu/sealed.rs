//! Wraps bytes that are cached outside of the library with a checksum and with the device and version that they are for: they
//! come back exactly as they were written, or not at all.
//!
//! Layout, numbers little-endian: 8 bytes that say what this is; u32 length and text of the key; u64 length and bytes of
//! the contents; u32 CRC-32 of all before it.

const MAGIC: &[u8] = b"lapidry1";

/// Returns the contents in their envelope: with a mark of the format, the key and a checksum.
pub fn seal(key: &str, contents: &[u8]) -> Vec<u8> {
    let mut sealed = MAGIC.to_vec();
    sealed.extend((key.len() as u32).to_le_bytes());
    sealed.extend(key.as_bytes());
    sealed.extend((contents.len() as u64).to_le_bytes());
    sealed.extend(contents);
    let sum = crc32fast::hash(&sealed);
    sealed.extend(sum.to_le_bytes());
    sealed
}

/// Returns the contents of an envelope; `None` unless these are all the bytes that [`seal`] made for this key.
pub fn unseal<'a>(key: &str, sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (body, sum) = sealed.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (length, rest) = body.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    let (found, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let (length, contents) = rest.split_first_chunk::<8>()?;
    let whole = u64::from_le_bytes(*length) == contents.len() as u64;
    (whole && found == key.as_bytes()).then_some(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_whole_or_not_at_all() {
        let contents: Vec<u8> = (0..300).map(|i| (i * 7) as u8).collect();
        let sealed = seal("a key", &contents);
        assert_eq!(unseal("a key", &sealed), Some(&contents[..]));
        assert_eq!(unseal("a key", &seal("a key", &[])), Some(&[][..]));
        assert_eq!(unseal("another", &sealed), None);
        for length in 0..sealed.len() {
            assert_eq!(unseal("a key", &sealed[..length]), None, "{length} bytes");
        }
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut damaged = sealed.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(unseal("a key", &damaged), None, "bit {bit} of byte {at}");
            }
        }
        assert_eq!(unseal("a key", &[&sealed[..], &[0]].concat()), None);
    }
}
