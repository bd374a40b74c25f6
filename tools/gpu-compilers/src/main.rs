//! Compiles lapidary's kernels with the Vulkan drivers of real GPUs, on a machine without any, and prints what the drivers
//! report about the code: registers, spills, occupancy, and the contents of the hot loop. `scripts/gpu-compilers` runs it on
//! Mesa's drivers over their drm-shims, which stand in for the Linux kernel's driver of a GPU: pipelines are compiled, and
//! launches do nothing. docs/gpu.md explains how to read the table.

mod baseline;
mod compile;
mod figures;
mod kernels;
mod machine;
mod spirv;
mod table;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "What compilers of real GPUs make of lapidary's kernels, without a GPU")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the kernels with the constants that networks run them with, one JSON object a line
    Kernels {
        /// Also the kernels that no network runs by default: the other rows of the tables
        #[arg(long)]
        all: bool,
    },
    /// Compiles the kernels of a list with the Vulkan driver that the loader finds
    Compile {
        /// The list, as `kernels` prints it
        #[arg(long)]
        list: PathBuf,
        /// Folder for the results: CHIP.json, and the machine code in CHIP/
        #[arg(long)]
        out: PathBuf,
        /// Name of the chip in the results
        #[arg(long)]
        chip: String,
        /// With the checks of indices, loops and divisions that browsers add to all shaders
        #[arg(long)]
        checked: bool,
    },
    /// Prints the results of several chips as a table in Markdown
    Table {
        /// The folder that `compile` wrote
        folder: PathBuf,
        /// The chips, in the order of the columns
        chips: Vec<String>,
    },
    /// Fails where a kernel that runs by default became worse than the baseline says
    Check {
        /// The folder that `compile` wrote
        folder: PathBuf,
        /// The file that is committed
        #[arg(long)]
        baseline: PathBuf,
        /// Writes the baseline anew
        #[arg(long)]
        renew: bool,
        /// The chips to compare
        chips: Vec<String>,
    },
}

fn main() -> Result<()> {
    match Args::parse().command {
        Command::Kernels { all } => kernels::print(all),
        Command::Compile { list, out, chip, checked } => compile::run(&list, &out, &chip, checked),
        Command::Table { folder, chips } => table::print(&folder, &chips),
        Command::Check { folder, baseline, renew, chips } => {
            baseline::check(&folder, &baseline, &chips, renew)
        }
    }
}
