//! Lists the training runs that `paper-table` compares: for each row a preset, the settings changed in it and, where
//! the comparison has a budget of passes through the network, the number of iterations that spend it.

use clap::ValueEnum;

use crate::Result;
use crate::train::{Config, ObjectiveName};

/// The training methods that `paper-table` compares, and their images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Comparison {
    /// The embedded Fashion-MNIST images, 16x16, WRN-10-1: hours on two CPU cores
    Small,
    /// CIFAR-10, or other labelled images that `train` reads, 32x32, WRN-16-2: hours on a GPU
    Colour,
    /// CIFAR-10, with the presets of the paper (arXiv 2510.13872), WRN-34-10, but WRN-28-10 for jem: days on several GPUs
    Full,
}

impl Comparison {
    /// Returns the comparison's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Colour => "colour",
            Self::Full => "full",
        }
    }

    /// Returns the default training budget of a row, in passes of a batch forward and back through the network; None where
    /// presets have their own iterations.
    pub fn budget(self) -> Option<u64> {
        match self {
            Self::Small => Some(6_000),
            Self::Colour => Some(60_000),
            Self::Full => None,
        }
    }

    /// Returns one training configuration for each row, in the order of the table.
    pub fn rows(self, budget: Option<u64>) -> Result<Vec<Row>> {
        let definitions: &[Definition] = match self {
            Self::Small => &SMALL,
            Self::Colour => &COLOUR,
            Self::Full => &FULL,
        };
        definitions.iter().map(|definition| definition.row(budget)).collect()
    }
}

/// A row of the comparison's table: a training method that can be run with any seed.
#[derive(Clone, Debug)]
pub struct Row {
    /// The row's name in folders and files.
    pub name: &'static str,
    /// The row's title in the table.
    pub title: &'static str,
    /// The preset that the row's configuration begins with.
    pub preset: &'static str,
    /// The settings in which the row differs from its preset, as `--set` takes them.
    pub changes: Vec<String>,
}

/// Name, title, preset, changes, and the share of the budget that stage 1 gets.
struct Definition(&'static str, &'static str, &'static str, &'static [&'static str], f64);

const PLAIN: &[&str] = &["stage1.steps=0", "stage1.eps=0"];

const SMALL: [Definition; 8] = [
    Definition("standard", "standard training", "fashion-at", PLAIN, 1.0),
    Definition("at", "AT", "fashion-at", &[], 1.0),
    Definition("trades", "TRADES", "fashion-trades", &[], 1.0),
    Definition("ratio", "RATIO", "fashion-ratio", &[], 1.0),
    Definition("jem", "JEM", "fashion-jem", &[], 0.0),
    Definition("dat-t4", "DAT, T up to 4", "fashion-demo", &["stage2.max_T=4"], 0.4),
    Definition("dat-t8", "DAT, T up to 8", "fashion-demo", &["stage2.max_T=8"], 0.4),
    Definition("dat-t12", "DAT, T up to 12", "fashion-demo", &["stage2.max_T=12"], 0.4),
];

/// The rows of comparisons on colour images: numbers and lengths of steps are those of the small CIFAR presets, except
/// JEM's own.
const COLOUR: [Definition; 8] = [
    Definition(
        "standard",
        "standard training",
        "cifar10-small-at",
        &["stage1.steps=0", "stage1.eps=0", "model.width=2"],
        1.0,
    ),
    Definition("at", "AT", "cifar10-small-at", &["model.width=2"], 1.0),
    Definition("trades", "TRADES", "cifar10-small-trades", &["model.width=2"], 1.0),
    Definition("ratio", "RATIO", "cifar10-small-ratio", &["model.width=2"], 1.0),
    Definition("jem", "JEM", "cifar10-jem", &["model.depth=16", "model.width=2"], 0.0),
    Definition(
        "dat-t6",
        "DAT, T up to 6",
        "cifar10-small",
        &["model.width=2", "stage2.max_T=6"],
        0.4,
    ),
    Definition(
        "dat-t12",
        "DAT, T up to 12",
        "cifar10-small",
        &["model.width=2", "stage2.max_T=12"],
        0.4,
    ),
    Definition(
        "dat-t20",
        "DAT, T up to 20",
        "cifar10-small",
        &["model.width=2", "stage2.max_T=20"],
        0.4,
    ),
];

const FULL: [Definition; 8] = [
    Definition("standard", "standard training", "cifar10-at", PLAIN, 1.0),
    Definition("at", "AT", "cifar10-at", &[], 1.0),
    Definition("trades", "TRADES", "cifar10-at", &["objective=trades", "stage1.attack=pgd"], 1.0),
    Definition("ratio", "RATIO", "cifar10-ratio", &[], 1.0),
    Definition("jem", "JEM", "cifar10-jem", &[], 0.0),
    Definition("dat-t30", "DAT, T up to 30", "cifar10-dat-t40", &["stage2.max_T=30"], 0.4),
    Definition("dat-t40", "DAT, T=40", "cifar10-dat-t40", &[], 0.4),
    Definition("dat-t50", "DAT, T=50", "cifar10-dat-t50", &[], 0.4),
];

/// Stages that every row skips: the judge is one network for all, and evaluation comes afterwards.
const FOR_ALL: [&str; 5] = [
    "validate.every=0",
    "judge.iterations=0",
    "sample.count=10",
    "sample.per_class=1",
    "evaluate.images=10",
];

impl Definition {
    fn row(&self, budget: Option<u64>) -> Result<Row> {
        let &Self(name, title, preset, own, share) = self;
        let mut changes: Vec<String> =
            own.iter().chain(&FOR_ALL).map(|change| (*change).to_owned()).collect();
        let config = Config::preset(preset)?.with(&changes)?;
        if let Some(budget) = budget {
            let [first, second] = passes(&config);
            let iterations =
                |share: f64, passes: u64| (share * budget as f64 / passes as f64) as u64;
            let second_share = if config.objective.has_stage2() { 1.0 - share } else { 0.0 };
            let [first, second] = [iterations(share, first), iterations(second_share, second)];
            let second = if second_share > 0.0 { second.max(1) } else { 0 };
            changes.push(format!("stage1.iterations={first}"));
            changes.push(format!("stage2.iterations={second}"));
            changes.push(format!("stage2.warm_up={}", second / 10));
            changes.push("checkpoint.every=50".into());
            if config.objective != ObjectiveName::Jem {
                // The most steps are to be reached within the budget.
                changes.push(format!("stage2.auc_window={}", config.stage2.auc_window.min(256)));
            }
        }
        // Wrong values are found before anything is trained.
        Config::preset(preset)?.with(&changes)?.check_read()?;
        Ok(Row { name, title, preset, changes })
    }
}

/// Returns how often a batch goes through the network forward and back in an iteration of each stage, with the most
/// contrastive steps.
pub fn passes(config: &Config) -> [u64; 2] {
    let Config { stage1, stage2, ratio, jem, .. } = config;
    let first = match config.objective {
        // Clean and attacked images.
        ObjectiveName::Trades => stage1.pgd.steps + 2,
        ObjectiveName::Ratio => stage1.pgd.steps + ratio.steps + 2,
        _ => stage1.pgd.steps + 1,
    };
    // Real, contrastive and classified images.
    let second = match config.objective {
        ObjectiveName::Jem => jem.steps + 3,
        _ => stage2.max_t + stage2.pgd.steps + 3,
    };
    [first.into(), second.into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_configuration_and_spends_no_more_than_its_budget() {
        for set in [Comparison::Small, Comparison::Colour, Comparison::Full] {
            for budget in [set.budget(), set.budget().map(|budget| budget / 10)] {
                let rows = set.rows(budget).unwrap();
                let objectives: Vec<_> = rows
                    .iter()
                    .map(|row| Config::preset(row.preset).unwrap().with(&row.changes).unwrap())
                    .collect();
                let count = |objective| {
                    objectives.iter().filter(|config| config.objective == objective).count()
                };
                use ObjectiveName::{At, Dat, Jem, Ratio, Trades};
                assert_eq!([At, Trades, Ratio, Jem, Dat].map(count), [2, 1, 1, 1, 3]);
                for (row, config) in rows.iter().zip(&objectives) {
                    let Some(budget) = budget else { continue };
                    let [first, second] = passes(config);
                    let spent = first * u64::from(config.stage1.schedule.iterations)
                        + second * u64::from(config.stage2_iterations());
                    // Less than one iteration of each stage may be left over.
                    let left = budget - spent;
                    assert!(left < first + second, "{}: {spent} of {budget}", row.name);
                }
            }
        }
    }

    #[test]
    fn passes_are_counted() {
        let passes = |preset: &str| passes(&Config::preset(preset).unwrap());
        // Three steps and the update; eight contrastive steps, three of the attack, three kinds of images.
        assert_eq!(passes("fashion-demo"), [4, 14]);
        assert_eq!(passes("fashion-trades")[0], 5);
        assert_eq!(passes("fashion-ratio")[0], 10);
        assert_eq!(passes("fashion-jem")[1], 23);
    }
}
