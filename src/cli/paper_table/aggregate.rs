//! Makes the table of `paper-table` from the measurements of single runs (accuracies, distances of samples from real images,
//! AUROC and others): mean and standard error over seeds, as Markdown and CSV.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Columns that are there in any comparison, in their order: key, heading, digits behind the point.
const COLUMNS: [(&str, &str, usize); 19] = [
    ("clean", "clean", 3),
    ("aa_l2", "AutoAttack L2", 3),
    ("aa_linf", "AutoAttack Linf", 3),
    ("pgd_l2", "PGD-20 L2", 3),
    ("pgd_linf", "PGD-20 Linf", 3),
    ("fd", "FD", 2),
    ("kid", "KID", 3),
    ("precision", "precision", 3),
    ("recall", "recall", 3),
    ("judge", "judge", 3),
    ("fd_extractor", "FD of the extractor", 1),
    ("kid_extractor", "KID of the extractor", 4),
    ("precision_extractor", "precision of the extractor", 3),
    ("recall_extractor", "recall of the extractor", 3),
    ("ece", "ECE", 3),
    ("auroc", "AUROC", 3),
    ("auroc_hidden", "AUROC, hiding", 3),
    ("counterfactual", "counterfactuals", 3),
    ("seconds", "seconds", 0),
];

/// The measurements of one training run (one method with one seed), by the keys of `COLUMNS` or, for more sets of images, names such
/// as `AUROC, PATH`; missing ones were not measured.
pub type Numbers = BTreeMap<String, f64>;

/// The runs of one row of the comparison's table, one for each seed.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// The row's name in files.
    pub name: String,
    /// The row's title in the table.
    pub title: String,
    /// The numbers of each seed that came to an end.
    pub seeds: Vec<(u64, Numbers)>,
    /// The seeds of the row whose training diverged.
    pub diverged: Vec<u64>,
}

/// A mean with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The number of values that the mean is of.
    pub count: usize,
    /// The mean of the values.
    pub mean: f64,
    /// The standard error: the standard deviation (over n - 1) divided by the square root of n; None for one value.
    pub error: Option<f64>,
}

impl Mean {
    /// Returns the mean of the values and its standard error; `None` of no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (count > 1).then(|| (squares / (count - 1) as f64 / count as f64).sqrt());
        Some(Self { count, mean, error })
    }

    fn text(self, digits: usize) -> String {
        match self.error {
            Some(error) => format!("{:.digits$} ± {error:.digits$}", self.mean),
            None => format!("{:.digits$}", self.mean),
        }
    }
}

impl Runs {
    /// Returns the mean of one number over seeds.
    pub fn mean(&self, key: &str) -> Option<Mean> {
        let values = self.seeds.iter().filter_map(|(_, numbers)| numbers.get(key).copied());
        Mean::of(&values.collect::<Vec<_>>())
    }
}

/// Key, heading and digits of the columns that some run has: the known ones, then AUROC against other sets of images.
fn columns(rows: &[Runs]) -> Vec<(String, String, usize)> {
    let has = |key: &str| rows.iter().any(|row| row.mean(key).is_some());
    let known = COLUMNS.iter().filter(|column| has(column.0));
    let mut columns: Vec<_> =
        known.map(|&(key, heading, digits)| (key.into(), heading.into(), digits)).collect();
    let keys = rows.iter().flat_map(|row| &row.seeds).flat_map(|(_, numbers)| numbers.keys());
    let mut others: Vec<&String> =
        keys.filter(|key| COLUMNS.iter().all(|column| column.0 != *key)).collect();
    others.sort();
    others.dedup();
    columns.extend(others.into_iter().map(|key| (key.clone(), key.clone(), 3)));
    columns
}

/// Returns the table as Markdown, with a line for each row, and a note about diverged runs.
pub fn markdown(rows: &[Runs]) -> String {
    let columns = columns(rows);
    let headings: Vec<_> = columns.iter().map(|(_, heading, _)| heading.as_str()).collect();
    let mut text = format!(
        "| | seeds | {} |\n|---|---|{}\n",
        headings.join(" | "),
        "---|".repeat(columns.len())
    );
    for row in rows {
        let cell = |(key, _, digits): &(String, String, usize)| {
            row.mean(key).map_or("-".to_owned(), |mean| mean.text(*digits))
        };
        let cells: Vec<_> = columns.iter().map(cell).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} | {} | {} |", row.title, row.seeds.len(), cells.join(" | "));
    }
    for row in rows.iter().filter(|row| !row.diverged.is_empty()) {
        let seeds: Vec<_> = row.diverged.iter().map(ToString::to_string).collect();
        let _ = write!(
            text,
            "\n{}: training diverged with seed {}, which is left out.\n",
            row.title,
            seeds.join(", ")
        );
    }
    text
}

/// Returns the table as CSV, with a line for each row and measure: row, measure, number of seeds, mean, standard error.
pub fn csv(rows: &[Runs]) -> String {
    let mut text = "row,measure,seeds,mean,standard_error\n".to_owned();
    for row in rows {
        for (key, ..) in columns(rows) {
            let Some(Mean { count, mean, error }) = row.mean(&key) else { continue };
            let error = error.map_or(String::new(), |error| error.to_string());
            let _ = writeln!(text, "{},{},{count},{mean},{error}", quoted(&row.name), quoted(&key));
        }
    }
    text
}

/// Returns the numbers of all runs as CSV, with a line for each number: row, seed, measure, value.
pub fn runs_csv(rows: &[Runs]) -> String {
    let mut text = "row,seed,measure,value\n".to_owned();
    for row in rows {
        for (seed, numbers) in &row.seeds {
            for (key, value) in numbers {
                let _ = writeln!(text, "{},{seed},{},{value}", quoted(&row.name), quoted(key));
            }
        }
    }
    text
}

/// A field of CSV as RFC 4180 has it.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(name: &str, clean: &[f64]) -> Runs {
        let seed = |(seed, clean): (u64, &f64)| (seed, Numbers::from([("clean".into(), *clean)]));
        let seeds = (0..).zip(clean).map(seed).collect();
        Runs { name: name.into(), title: name.to_uppercase(), seeds, diverged: Vec::new() }
    }

    #[test]
    fn means_and_standard_errors_of_known_numbers() {
        // Standard deviation 2, over the square root of 4.
        let of = Mean::of(&[1.0, 1.0, 5.0, 5.0]).unwrap();
        assert_eq!((of.count, of.mean), (4, 3.0));
        let sample = (16.0_f64 / 3.0).sqrt();
        assert!((of.error.unwrap() - sample / 2.0).abs() < 1e-12);
        assert_eq!(Mean::of(&[0.25]), Some(Mean { count: 1, mean: 0.25, error: None }));
        assert_eq!(Mean::of(&[]), None);
    }

    #[test]
    fn a_table_of_two_rows() {
        let mut jem = runs("jem", &[0.5]);
        jem.diverged = vec![1, 2];
        jem.seeds[0].1.insert("AUROC of a,b".into(), 0.75);
        let rows = [runs("at", &[0.5, 0.75, 1.0]), jem];
        let wanted = "| | seeds | clean | AUROC of a,b |\n|---|---|---|---|\n\
                      | AT | 3 | 0.750 ± 0.144 | - |\n| JEM | 1 | 0.500 | 0.750 |\n\
                      \nJEM: training diverged with seed 1, 2, which is left out.\n";
        assert_eq!(markdown(&rows), wanted);
        let lines = csv(&rows);
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines[0], "row,measure,seeds,mean,standard_error");
        assert!(lines[1].starts_with("at,clean,3,0.75,0.144"), "{}", lines[1]);
        assert_eq!(lines[2], "jem,clean,1,0.5,");
        assert_eq!(lines[3], "jem,\"AUROC of a,b\",1,0.75,");
        assert_eq!(runs_csv(&rows).lines().count(), 1 + 3 + 2);
    }
}
