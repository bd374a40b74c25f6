//! Writes NumPy's archives of arrays, `.npz`: a zip file with one `.npy` for each array (NumPy enhancement proposal 1). Features,
//! their statistics, and samples are exchanged in this form. `data::npy` reads them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::data::MAGIC;
pub use crate::data::{Array, Numbers, npz_names, read_npz};
use crate::model::checkpoint::stream_atomically;
use crate::{Error, Result};

/// Returns the zip options for entries that are not compressed, of any size.
pub fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true)
}

/// Returns the header of an array's file, padded to a multiple of 64 bytes.
pub fn header(kind: &str, shape: &[usize]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({sides}), }}");
    let unpadded = MAGIC.len() + 4 + text.len() + 1;
    text += &" ".repeat(unpadded.next_multiple_of(64) - unpadded);
    text += "\n";
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.into_bytes());
    bytes
}

/// Writes arrays in the order of their names, not compressed; whole or not at all.
pub fn write_npz(path: impl AsRef<Path>, arrays: &BTreeMap<&str, Array>) -> Result<()> {
    let path = path.as_ref();
    stream_atomically(path, |file| {
        let failed = |error: &dyn std::fmt::Display| Error::bad_file(path, error);
        let mut archive = ZipWriter::new(&mut *file);
        for (name, Array { shape, numbers }) in arrays {
            archive.start_file(format!("{name}.npy"), stored()).map_err(|error| failed(&error))?;
            let mut bytes = header(numbers.kind(), shape);
            match numbers {
                Numbers::F64(values) => bytes.extend_from_slice(bytemuck::cast_slice(values)),
                Numbers::F32(values) => bytes.extend_from_slice(bytemuck::cast_slice(values)),
                Numbers::I64(values) => bytes.extend_from_slice(bytemuck::cast_slice(values)),
                Numbers::U8(values) => bytes.extend_from_slice(values),
            }
            archive.write_all(&bytes).map_err(|error| failed(&error))?;
        }
        archive.finish().map(drop).map_err(|error| failed(&error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_come_back_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let arrays = BTreeMap::from([
            ("mu", Array { shape: vec![2], numbers: Numbers::F64(vec![1.5, -2.0]) }),
            ("n", Array { shape: vec![], numbers: Numbers::I64(vec![7]) }),
            ("x", Array { shape: vec![2, 1, 3], numbers: Numbers::U8(vec![1, 2, 3, 4, 5, 6]) }),
            ("y", Array { shape: vec![1, 1], numbers: Numbers::F32(vec![0.25]) }),
        ]);
        write_npz(&path, &arrays).unwrap();
        let names: Vec<_> = arrays.keys().copied().collect();
        assert_eq!(npz_names(&path).unwrap(), names);
        let again = read_npz(&path, &names).unwrap();
        assert_eq!(again.len(), 4);
        for (name, array) in &arrays {
            assert_eq!(&again[*name], array);
        }
        assert_eq!(header("<f8", &[2, 3]).len() % 64, 0);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(read_npz(&path, &names).unwrap_err().to_string().contains("a.npz"));
    }
}
