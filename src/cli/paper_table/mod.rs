//! `paper-table`: trains networks by several methods (standard, adversarial and joint energy-based training) under the same
//! conditions, attacks and samples them, and writes one table and one figure that compare them. Each training, evaluation and
//! attack is another command of this program, with its results in the output folder: what is finished is not done again.

mod aggregate;
mod judge;
mod rows;
mod work;

use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::args;
use super::exit::Failure;
use super::progress::Progress;
use super::rounding;
use super::session::Session;
use super::stop::Stop;
use crate::eval::rounding::changed;
use crate::model::checkpoint::write_atomically;
use crate::report::clock;
use crate::report::scatter::{Point, Scatter};
use crate::{Error, Result};
use aggregate::{Mean, Runs};
use judge::Judge;
pub use rows::Comparison;
use rows::Row;
use work::{Ended, Settings, Work};

/// The seed of the network that judges, which no row has.
const JUDGES_SEED: u64 = 1_000_000;

/// Runs the command `paper-table`: does the unfinished trainings and measurements, then writes the table.
pub fn run(session: &Session, args: &args::PaperTable) -> anyhow::Result<()> {
    let settings = settings(args)?;
    let all = args.set.rows(settings.budget)?;
    let chosen = chosen(&all, &args.rows)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(format!("paper-table-{}", args.set.name())));
    identify(&out, args, &settings, session)?;
    let seeds = args.seeds.unwrap_or(if args.quick { 1 } else { 3 });
    let stop = Stop::listen(true)?;
    let mut progress = session.progress();
    let gpu = session.gpu()?;
    progress.line(&format!(
        "comparing {} training methods, seeds of each: {seeds}, on {}, into {}",
        chosen.len(),
        gpu.adapter(),
        out.display()
    ));
    let mut work = Work { session, stop: &stop, out: &out, settings: &settings };

    let units = chosen.len() as u64 * u64::from(seeds);
    let mut pace = Pace { began: Instant::now(), done: 0, all: units };
    let judging = all.first().filter(|row| row.name == "standard");
    let judging =
        judging.ok_or_else(|| Error::bug("paper-table", "the table has no row \"standard\""))?;
    pace.say(&mut progress, "training the classifier that judges samples");
    let Ended::Trained(judge) = work.train(judging, JUDGES_SEED, "judge")? else {
        anyhow::bail!(
            "paper-table: the training of the classifier that judges samples diverged; {} has its log",
            out.join("judge").display()
        );
    };
    let mut judge = Judge::new(session, &gpu, &judge, settings.data.as_deref())?;

    let mut table: Vec<Runs> = chosen.iter().map(|row| runs(row)).collect();
    // All rows of a seed, then the next: a table that is not finished compares what is there.
    for seed in 0..u64::from(seeds) {
        for (at, row) in chosen.iter().enumerate() {
            let name = format!("{}-{seed}", row.name);
            let known = out.join(&name).join("numbers.json").is_file();
            let mut say = |what: &str| {
                pace.say(&mut progress, &format!("{}, seed {seed}: {what}", row.title));
            };
            let numbers = work.measured(row, seed, &name, &mut judge, &mut say)?;
            match (table.get_mut(at), numbers) {
                (Some(runs), Some(numbers)) => runs.seeds.push((seed, numbers)),
                (Some(runs), None) => runs.diverged.push(seed),
                (None, _) => {}
            }
            // What was there before took no time.
            if known {
                pace.all -= 1
            } else {
                pace.done += 1
            }
            write(&out, &table_of(args, &settings, &table))?;
        }
    }
    let files = table_of(args, &settings, &table);
    write(&out, &files)?;
    super::print(&format!("{}\n{}\n", files.markdown, out.join("table.md").display()))
}

fn runs(row: &Row) -> Runs {
    Runs { name: row.name.into(), title: row.title.into(), ..Runs::default() }
}

fn settings(args: &args::PaperTable) -> anyhow::Result<Settings> {
    let budget = args.budget.or(args.set.budget());
    let small = args.set == Comparison::Small;
    if !small && args.data.is_none() {
        let words = format!(
            "--set {} needs --data IMAGES: CIFAR-10, or other labelled images that `train` reads",
            args.set.name()
        );
        return Err(Failure::Usage(words).into());
    }
    if args.budget.is_some() && args.set.budget().is_none() {
        let words = "--budget goes with --set small and colour: --set full has the paper's own number of iterations";
        return Err(Failure::Usage(words.into()).into());
    }
    let [images, samples, attacked] = match (args.quick, args.set) {
        (true, _) => [100, 100, 0],
        (false, Comparison::Small) => [1000, 2000, 200],
        (false, _) => [10_000, 10_000, 1000],
    };
    Ok(Settings {
        budget: budget.map(|budget| if args.quick { budget / 10 } else { budget }),
        tenth: args.quick && budget.is_none(),
        data: args.data.clone(),
        ood: args.ood.clone(),
        images: args.images.unwrap_or(images),
        samples: args.samples.unwrap_or(samples),
        attacked: args.attack_images.unwrap_or(attacked),
        extractor: args.extractor.clone(),
        launcher: args
            .launcher
            .iter()
            .flat_map(|words| words.split_whitespace())
            .map(str::to_owned)
            .collect(),
    })
}

/// The rows that `--rows` names, or all.
fn chosen<'a>(all: &'a [Row], names: &[String]) -> anyhow::Result<Vec<&'a Row>> {
    if names.is_empty() {
        return Ok(all.iter().collect());
    }
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|row| row.name != **name)) {
        let known: Vec<_> = all.iter().map(|row| row.name).collect();
        let words = format!(
            "--rows {unknown}: the table has no such row; its rows are {}",
            known.join(", ")
        );
        return Err(Failure::Usage(words).into());
    }
    Ok(all.iter().filter(|row| names.iter().any(|name| name == row.name)).collect())
}

/// Results of other settings do not belong into the same table.
fn identify(
    out: &Path,
    args: &args::PaperTable,
    settings: &Settings,
    session: &Session,
) -> Result<()> {
    let named = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "set": args.set.name(),
        "budget": settings.budget,
        "tenth": settings.tenth,
        "data": settings.data,
        "ood": settings.ood,
        "images": settings.images,
        "samples": settings.samples,
        "attack images": settings.attacked,
        "extractor": settings.extractor,
    });
    let mut ours = rounding::facts(&session.options().preferences);
    ours.extend(named.as_object().cloned().unwrap_or_default());
    let file = out.join("comparison.json");
    std::fs::create_dir_all(out).map_err(|error| Error::bad_file(out, error))?;
    if file.is_file() {
        let theirs: Value = work::read_json(&file)?;
        let mut theirs = theirs.as_object().cloned().unwrap_or_default();
        rounding::complete(&mut theirs);
        if let Some((key, was, now)) = changed(&theirs, &ours) {
            let reason = format!(
                "the runs beside this file are of another comparison, with {key} {was}, but now {key} is {now}; choose another folder with --out"
            );
            return Err(Error::bad_file(&file, reason));
        }
        return Ok(());
    }
    write_atomically(&file, format!("{:#}\n", Value::Object(ours)).as_bytes())
}

/// The progress of the whole comparison.
struct Pace {
    began: Instant,
    done: u64,
    all: u64,
}

impl Pace {
    fn say(&self, progress: &mut Progress, what: &str) {
        let each = self.began.elapsed().as_secs_f64() / self.done.max(1) as f64;
        let left = match self.done {
            0 => String::new(),
            done => format!(", {} left", clock(each * self.all.saturating_sub(done) as f64)),
        };
        progress.line(&format!("{} of {} runs done{left}: {what}", self.done, self.all));
    }
}

/// The files of the comparison.
struct Files {
    markdown: String,
    csv: String,
    runs: String,
    svg: String,
}

fn table_of(args: &args::PaperTable, settings: &Settings, rows: &[Runs]) -> Files {
    let mut markdown = format!("# Hybrid models side by side: {}\n\n", args.set.name());
    // Writing to a String cannot fail.
    let _ = writeln!(markdown, "{}\n", about(args, settings));
    markdown += &aggregate::markdown(rows);
    markdown += "\n![Robust accuracy against FD](figure.svg)\n";
    // AutoAttack's number where it was run.
    let has = |key: &str| rows.iter().any(|row| row.mean(key).is_some());
    let (robust, attack) = if has("aa_l2") {
        ("aa_l2", "accuracy under AutoAttack, L2 0.5")
    } else {
        ("pgd_l2", "accuracy under PGD of 20 steps, L2 0.5")
    };
    let (distance, of) = if has("fd_extractor") {
        ("fd_extractor", "Fréchet distance in the extractor's features")
    } else {
        ("fd", "Fréchet distance in the judge's logits, in standard deviations of real ones")
    };
    let point = |row: &Runs| {
        let [x, y]: [Mean; 2] = [row.mean(distance)?, row.mean(robust)?];
        let spread = (x.error.unwrap_or(0.0), y.error.unwrap_or(0.0));
        Some(Point { name: row.title.clone(), at: (x.mean, y.mean), spread })
    };
    let scatter = Scatter {
        title: "Robust accuracy against the distance of samples from real images",
        labels: [of, attack],
        points: rows.iter().filter_map(point).collect(),
    };
    Files {
        markdown,
        csv: aggregate::csv(rows),
        runs: aggregate::runs_csv(rows),
        svg: scatter.svg(),
    }
}

/// Explains the numbers of the table.
fn about(args: &args::PaperTable, settings: &Settings) -> String {
    let training = match settings.budget {
        Some(budget) => format!(
            "Each row was trained for {budget} passes of a batch forward and back through the network, attacks and samples included (DAT: two fifths of them in stage 1, and counted as if T were always at its most)."
        ),
        None if settings.tenth => {
            "Each row was trained for a tenth of its preset's iterations.".into()
        }
        None => "Each row was trained for its preset's iterations.".to_owned(),
    };
    let attacks = match settings.attacked {
        0 => "AutoAttack was not run.".to_owned(),
        count => {
            format!("AutoAttack's standard version, L2 0.5 and Linf 8/255, on {count} test images.")
        }
    };
    let extractor = match &settings.extractor {
        Some(file) => format!(
            " Columns of the extractor are in the features of {}, against training images.",
            file.display()
        ),
        None => String::new(),
    };
    format!(
        "`lapidary paper-table --set {}`. {training} Mean and standard error over seeds. The last averaged weights are \
         evaluated, on at most {} test images: accuracy; PGD of 20 steps of eps/8 in balls of L2 0.5 and Linf 8/255. \
         {attacks} FD, KID, precision and recall (3 neighbours) of {} samples against test images are in the \
         logits of a judge, each less its mean and over its standard deviation on test images: one plainly trained network of the same shape and another seed, and `judge` is the share of samples to \
         which it gives the class asked for.{extractor} ECE has 20 bins. AUROC is of logsumexp, test images against the images named, or the \
         preset's out-of-distribution images, also where these hide. Counterfactuals: mean confidence in the class gone to, within L2 4. \
         Seconds are of training, on one machine that may have done other work.",
        args.set.name(),
        settings.images,
        settings.samples,
    )
}

fn write(out: &Path, files: &Files) -> Result<()> {
    let all = [
        ("table.md", &files.markdown),
        ("table.csv", &files.csv),
        ("runs.csv", &files.runs),
        ("figure.svg", &files.svg),
    ];
    all.into_iter().try_for_each(|(name, text)| write_atomically(out.join(name), text.as_bytes()))
}
