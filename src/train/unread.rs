//! Refuses changed settings that training would not read: with the chosen objective and optimisers they would have no effect.

use toml::Value;

use super::config::{Config, bad, flatten};
use super::tables::{ObjectiveName, OptimiserName};
use crate::Result;

/// What an objective does not read of a stage that it trains, and why. The value beside a key is the one that says what is done; of the
/// other keys it is the preset's, as every preset has them all.
const OF_OBJECTIVES: [(ObjectiveName, &str, Option<&str>, &str); 11] = {
    use ObjectiveName::{Jem, Trades};
    const CLEAN: &str = "its stage 2 classifies images that are not attacked";
    const LANGEVIN: &str = "its samples move by jem.steps and jem.alpha";
    const NO_CURRICULUM: &str = "the number of its samples' steps, jem.steps, stays as it is";
    [
        (
            Trades,
            "stage1.attack",
            Some("pgd"),
            "its attack climbs a divergence, by projected gradient ascent alone",
        ),
        (Jem, "stage2.norm", None, CLEAN),
        (Jem, "stage2.eps", None, CLEAN),
        (Jem, "stage2.steps", None, CLEAN),
        (Jem, "stage2.step_size", None, CLEAN),
        (Jem, "stage2.climb", None, "its samples climb stage2.score"),
        (Jem, "stage2.alpha", None, LANGEVIN),
        (Jem, "stage2.start_T", None, NO_CURRICULUM),
        (Jem, "stage2.max_T", None, NO_CURRICULUM),
        (Jem, "stage2.auc_threshold", None, NO_CURRICULUM),
        (Jem, "stage2.auc_window", None, NO_CURRICULUM),
    ]
};

/// What an optimiser does not read of its stage's table.
fn of_optimiser(name: OptimiserName) -> (&'static [&'static str], &'static str) {
    match name {
        OptimiserName::Sgd => (&["beta1", "beta2"], "sgd reads momentum"),
        OptimiserName::Adam | OptimiserName::AdamW => {
            (&["momentum"], "adam and adamw read beta1 and beta2")
        }
    }
}

impl Config {
    /// Checks that no setting of a stage that is trained was changed which nothing reads. Files of earlier runs may have such
    /// settings, so this is asked before training and not whenever a configuration is read.
    ///
    /// # Errors
    /// `BadConfig` for the first one, with the reason.
    pub(crate) fn check_read(&self) -> Result<()> {
        let stages = [
            ("stage1", &self.stage1.schedule, self.stage1.schedule.iterations),
            ("stage2", &self.stage2.schedule, self.stage2_iterations()),
        ];
        let trained = stages.into_iter().filter(|(.., iterations)| *iterations > 0);
        let objective = self.objective;
        let mut unread: Vec<(String, Option<&str>, String)> = Vec::new();
        for (stage, schedule, _) in trained {
            let of_stage = |key: &str| key.split_once('.').is_some_and(|(table, _)| table == stage);
            for &(of, key, value, why) in &OF_OBJECTIVES {
                if of == objective && of_stage(key) {
                    let why = format!("objective = {} does not read it: {why}", objective.name());
                    unread.push((key.into(), value, why));
                }
            }
            let (keys, why) = of_optimiser(schedule.optimiser);
            unread.extend(keys.iter().map(|key| {
                let why = format!("{stage}.optimiser does not read it: {why}");
                (format!("{stage}.{key}"), None, why)
            }));
        }
        let (ours, preset) =
            (flatten(&self.to_table()?), flatten(&Self::preset(&self.preset)?.to_table()?));
        let value = |all: &[(String, Value)], key: &str| {
            all.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
        };
        for (key, wanted, why) in unread {
            let given = value(&ours, &key);
            let wanted = wanted.map(Value::from).or_else(|| value(&preset, &key));
            if let Some(given) = given.filter(|given| Some(given) != wanted.as_ref()) {
                let wanted = wanted.map_or("left out".to_owned(), |wanted| wanted.to_string());
                return Err(bad(&key, given, &format!("{wanted}, as {why}")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::train::preset_names;

    #[test]
    fn presets_set_nothing_that_is_not_read() {
        for name in preset_names() {
            Config::preset(name).unwrap().check_read().unwrap();
        }
    }

    #[test]
    fn changes_without_effect_are_refused() {
        let refused = |changes: &[&str]| match Config::preset("fashion-demo")
            .unwrap()
            .with(changes)
            .unwrap()
            .check_read()
        {
            Ok(()) => None,
            Err(Error::BadConfig { key, allowed, .. }) => Some((key, allowed)),
            Err(other) => panic!("{other}"),
        };
        let unread: [&[&str]; 15] = [
            &["stage1.attack=momentum-best", "objective=trades"],
            &["stage2.norm=linf", "objective=jem"],
            &["stage2.eps=0.25", "objective=jem"],
            &["stage2.steps=9", "objective=jem"],
            &["stage2.step_size=0.3", "objective=jem"],
            &["stage2.climb=logsumexp", "objective=jem"],
            &["stage2.alpha=0.5", "objective=jem"],
            &["stage2.start_T=1", "objective=jem"],
            &["stage2.max_T=3", "objective=jem"],
            &["stage2.auc_threshold=0.5", "objective=jem"],
            &["stage2.auc_window=10", "objective=jem"],
            &["stage1.beta1=0.5"],
            &["stage2.beta2=0.5"],
            &["stage1.momentum=0.5", "stage1.optimiser=adam"],
            &["stage2.momentum=0.5", "stage2.optimiser=adamw"],
        ];
        for changes in unread {
            let key = changes[0].split('=').next().unwrap();
            let (found, allowed) = refused(changes).unwrap();
            assert!(found == key && allowed.contains("does not read it"), "{changes:?}: {allowed}");
        }
        let read: [&[&str]; 7] = [
            &["objective=at", "stage1.attack=momentum-best"],
            &["objective=ratio", "stage1.attack=momentum-best"],
            &["objective=jem", "stage1.attack=momentum-best", "stage2.score=class-logit"],
            &["stage2.climb=logsumexp", "stage2.alpha=0.5", "stage2.max_T=3", "stage2.norm=linf"],
            &["stage2.beta2=0.5", "stage2.optimiser=adam"],
            &["stage1.momentum=0.5"],
            // Stages that are not trained.
            &["objective=trades", "stage1.attack=momentum-best", "stage1.iterations=0"],
        ];
        for changes in read {
            assert_eq!(refused(changes), None, "{changes:?}");
        }
    }
}
