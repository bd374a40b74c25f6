//! Reads from the environment how many processes a launcher (mpirun, srun) has started, and which of them this one is.

use crate::{Error, Result};

/// Variables that hold the number of processes, by who sets them.
const SIZES: [(&str, &str); 4] = [
    ("OMPI_COMM_WORLD_SIZE", "Open MPI's mpirun"),
    ("PMI_SIZE", "MPICH's mpiexec or Slurm's srun"),
    ("SLURM_NTASKS", "Slurm"),
    ("WORLD_SIZE", "torchrun or a script like it"),
];
/// Variables that hold this process's rank, for each launcher.
const RANKS: [&str; 4] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID", "RANK"];

/// Says that more than one process was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Launched {
    /// The number of processes of the run, as the launcher counts them.
    pub size: u32,
    /// This process's number in the run; 0 where the launcher does not say.
    pub rank: u32,
    variable: &'static str,
    by: &'static str,
}

/// Whether a launcher started this process as one of several; `variable` reads the environment.
///
/// # Errors
/// `World` where the launcher's variable does not hold a number of processes.
pub(crate) fn launched(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Launched>> {
    let rank = RANKS.iter().find_map(|name| variable(name)?.trim().parse().ok()).unwrap_or(0);
    for (name, by) in SIZES {
        let Some(text) = variable(name).filter(|text| !text.trim().is_empty()) else { continue };
        let size = text.trim().parse().ok().filter(|&size: &u32| size > 0);
        let size = size.ok_or_else(|| {
            Error::World(format!(
                "the environment variable {name} is {text:?}, but has to be the number of processes, or not be set"
            ))
        })?;
        if size > 1 {
            return Ok(Some(Launched { size, rank, variable: name, by }));
        }
    }
    Ok(None)
}

impl Launched {
    fn told(&self) -> String {
        let Self { variable, size, by, .. } = self;
        format!("{variable} = {size}, which {by} sets, says that this is one of {size} processes")
    }

    /// Advice for a build that cannot be one of several processes.
    #[cfg_attr(
        all(feature = "mpi", not(test)),
        expect(dead_code, reason = "builds without it say so")
    )]
    pub(super) fn without_mpi(&self) -> String {
        let variable = self.variable;
        format!(
            "{}, but this build is without MPI and each would do all of the work: install lapidary with `cargo install --locked --path . --features mpi`, or start one process, with {variable} unset",
            self.told()
        )
    }

    /// Advice for a launcher whose MPI starts only one process.
    #[cfg_attr(
        not(any(feature = "mpi", test)),
        expect(dead_code, reason = "builds with it say so")
    )]
    pub(super) fn found_alone(&self) -> String {
        let variable = self.variable;
        format!(
            "{}, but MPI sees this one alone and each would do all of the work: start them with the mpirun of the MPI that this program was built with, or with `srun --mpi=pmix`, or start one process, with {variable} unset",
            self.told()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)]) -> Result<Option<Launched>> {
        let find = |name: &str| set.iter().find(|(key, _)| *key == name);
        launched(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn launchers_are_seen() {
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&[("WORLD_SIZE", "1"), ("PMI_SIZE", " ")]).unwrap(), None);
        for (name, _) in SIZES {
            let found = of(&[(name, "4"), ("RANK", "2")]).unwrap().unwrap();
            assert_eq!((found.size, found.rank, found.variable), (4, 2, name));
            for sentence in [found.without_mpi(), found.found_alone()] {
                assert!(sentence.contains(name) && sentence.contains("unset"), "{sentence}");
            }
        }
        for wrong in ["0", "many", "-2"] {
            let error = of(&[("SLURM_NTASKS", wrong)]).unwrap_err().to_string();
            assert!(error.contains("SLURM_NTASKS") && error.contains(wrong), "{error}");
        }
    }
}
