//! An op that advances the counter of random numbers after each run of a program, so that the next run draws new ones.

use super::walk::kernel;
use crate::Result;
use crate::gpu::{Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct Params { by: u32 }
}

/// The kernel that moves the control words of random numbers on to the next step, in place.
pub static KERNEL: Kernel = kernel!("advance", [], Params, [mut control]);

/// Moves the control words of random numbers on to the next step. Input control \[5\] of [`RandomFill`](super::RandomFill),
/// written in place; no output. The low word of its step grows by 1, and wraps after 2^32: pushed after `Random`, each replay
/// draws other numbers.
#[derive(Clone, Copy, Debug)]
pub struct Advance;

impl Op for Advance {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [control] = exactly(self.name(), "inputs", inputs)?;
        control.expect(self.name(), Shape::vector(5)?)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[0]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        launch.all(&KERNEL, Params { by: 1 }, [1, 1, 1])
    }
}
