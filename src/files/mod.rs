//! Shared parts of the readers of networks and of data: reading parts of files, with lengths checked before memory is
//! allocated, and pickles, the format of PyTorch's checkpoints and of data sets of NumPy arrays. It imports no other layer of
//! the crate.

mod budget;
mod globals;
mod input;
mod machine;
mod number;
mod pickle;
mod regular;
mod stack;

pub use budget::Budget;
pub use globals::{Storage, TensorPlace, other_tensor};
pub use input::{Checked, Input};
#[cfg(test)]
pub use number::fit;
pub use number::{Kind, elements};
pub use pickle::{Node, Pickle, Value};
pub use regular::open;
#[cfg(all(feature = "data", not(target_arch = "wasm32")))]
pub use regular::read;
#[cfg(all(feature = "parquet", not(target_arch = "wasm32")))]
pub use regular::{GROWTH, SMALL};
#[cfg(feature = "data")]
pub use regular::{read_text, room};
