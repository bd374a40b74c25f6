//! Reads any bytes as a checkpoint: the result may be an error, but never a panic or a huge allocation. PyTorch's old file
//! format has no checksums, so damage reaches the pickle reader; good first inputs are the files of tests/golden/cases/formats.

#![no_main]

use lapidary::model::Checkpoint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    drop(Checkpoint::from_bytes("fuzz", bytes));
});
