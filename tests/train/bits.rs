//! Tests that a few iterations of both training stages (adversarial, then dual adversarial training) end with weights of the
//! recorded hash on the drivers that CI has, as changes of how kernels are chosen and launched, and of where values lie in memory,
//! must not change what is computed.
//!
//! Another driver, or version of one, may round otherwise. Hashes are recorded by adapter and driver: for an unknown one the test
//! prints the line to add here, in a commit that changes nothing else, and compares nothing.

use crate::common::own_gpu;
use crate::{SMALL, begin, latest_checkpoint, read_checkpoint, succeeded};
use lapidary::model::Checkpoint;

/// Adapter, its driver, and the hash of the weights after five iterations of stage 1 and four of stage 2.
const KNOWN: [(&str, &str, u64); 2] = [
    (
        "llvmpipe (LLVM 15.0.6, 256 bits)",
        "llvmpipe Mesa 22.3.6 (LLVM 15.0.6)",
        0x53c1_9804_1395_cf3c,
    ),
    ("SwiftShader Device (Subzero)", "SwiftShader driver", 0x00db_76b8_dddc_c766),
];

/// FNV-1a of 64 bits.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn training_ends_with_the_bits_that_it_always_had() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    succeeded(&begin(&out, &["stage1.batch=16", "data.side=16"]).output().unwrap());
    let (_, path) = latest_checkpoint(&out).unwrap().unwrap();
    let (_, model) = read_checkpoint(path).unwrap().swap_remove(0);
    let checkpoint = Checkpoint::from_bytes("model", &model).unwrap();
    let words = checkpoint.weights.iter().flat_map(|(_, tensor)| &tensor.data);
    let found = hash(words.flat_map(|word| word.to_le_bytes()));
    let adapter = own_gpu().adapter().clone();
    let (name, driver) = (adapter.name.as_str(), adapter.driver.as_str());
    println!("(\"{name}\", \"{driver}\", {found:#018x}),");
    let known = KNOWN.iter().find(|known| (known.0, known.1) == (name, driver));
    assert!(known.is_none_or(|known| known.2 == found), "{SMALL:?} on {adapter}: {found:#018x}");
}
