//! Runs reference cases from PyTorch on an adapter, for graphs as they are built and after they are rewritten into faster ones,
//! and says whether the numbers are right.
//!
//! The files are those of `tests/golden/cases`. Whoever runs a check brings them: the program has them embedded, a
//! page fetches them when asked to.

mod case;
mod run;

pub use case::Verdict;

use crate::Result;
use crate::gpu::Gpu;
use case::Case;

/// A reference case of the command `doctor`, which checks a device: an op or a network, with inputs and the results that PyTorch
/// computed.
#[derive(Debug)]
pub struct Check {
    /// The case's name in the table that `doctor` prints.
    pub name: &'static str,
    /// The case's file, relative to `tests/golden/cases`.
    pub file: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Conv2d,
    BatchNorm,
    L2Step,
    Evaluation,
    Trajectory,
}

/// The file with the weights for all cases that run a whole network, relative to `tests/golden/cases` like [`Check::file`].
pub const WEIGHTS: &str = "weights/wrn10_1.safetensors";

/// The reference cases that the command `doctor` runs to check a device, from single ops to steps through a whole network.
pub static CHECKS: [Check; 6] = [
    Check {
        name: "conv2d 3x3",
        file: "ops/conv2d/k3s1p1_c1o5g1_n9_h4w11.safetensors",
        kind: Kind::Conv2d,
    },
    Check {
        name: "conv2d 3x3, stride 2",
        file: "ops/conv2d/k3s2p1_c17o17g1_n2_h7w7_bias.safetensors",
        kind: Kind::Conv2d,
    },
    Check {
        name: "batch norm",
        file: "ops/batch_norm/train_n4_c5_h6w7.safetensors",
        kind: Kind::BatchNorm,
    },
    Check { name: "L2 step", file: "attacks/l2_step_0.1.safetensors", kind: Kind::L2Step },
    Check { name: "WRN-10-1", file: "models/wrn10_1_eval.safetensors", kind: Kind::Evaluation },
    Check {
        name: "PGD, 8 steps",
        file: "attacks/pgd_wrn10_1_L2_joint_epsinf_t8.safetensors",
        kind: Kind::Trajectory,
    },
];

impl Check {
    /// Computes a reference case on a device, with the kernels that the device's [`Preferences`](crate::gpu::Preferences)
    /// allow, and compares the results with those in `file`. `weights` are the bytes of [`WEIGHTS`]. Err if
    /// the file is not sound or the device fails.
    pub async fn run(&self, gpu: &Gpu, file: &[u8], weights: &[u8]) -> Result<Verdict> {
        let case = Case::new(self.name, file)?;
        let results = match self.kind {
            Kind::Conv2d => run::conv2d(&case, gpu).await,
            Kind::BatchNorm => run::batch_norm(&case, gpu).await,
            Kind::L2Step => run::l2_step(&case, gpu).await,
            Kind::Evaluation => run::evaluation(&case, weights, gpu).await,
            Kind::Trajectory => run::trajectory(&case, weights, gpu).await,
        };
        case.compare(&results?)
    }
}
