//! The `lapidary` program: command-line arguments, progress bars, pictures, reports and exit codes. The computations themselves
//! are in the layers below, such as `train` and `eval`.

mod args;
mod attack;
mod attack_pictures;
mod attack_progress;
mod bench;
mod cache;
mod classify;
mod convert;
mod counterfactuals;
mod demo;
mod devices;
mod doctor;
mod evaluate;
mod evaluate_all;
mod evaluate_state;
mod exit;
mod explain;
mod eyes;
mod generation;
mod image_set;
mod inspect;
mod kept;
mod labels;
mod models;
mod nearness;
mod out;
mod paper_table;
mod plan;
mod plan_ranks;
mod progress;
mod protocol;
mod reach;
mod report_all;
mod rounding;
mod runs;
mod sample;
mod sample_files;
mod session;
mod starts;
mod stop;
mod terminal;
mod train;
mod tune;
mod tuning_progress;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

pub use progress::Progress;

use crate::world::launched;
use args::{Arguments, Command, Evaluation};
use session::Session;
use terminal::print;

/// Reads the arguments, does what they ask for, and says in one sentence on stderr what went wrong.
///
/// The program ends with 0, or 2: usage or configuration, 3: an input file, 4: adapter or GPU, 5: training diverged,
/// 6: stopped by a signal, 1: anything else.
pub fn main() -> ExitCode {
    let parsed = syntax().try_get_matches().and_then(|given| Arguments::from_arg_matches(&given));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => match launched(|name| std::env::var(name).ok()) {
            // One of several processes is enough to say it.
            Ok(Some(others)) if others.rank > 0 => return exit::quiet_usage(&error),
            _ => return exit::usage(&error),
        },
    };
    run(arguments)
}

/// The command line, whose help leaves out the options of kernels where a command runs none.
fn syntax() -> clap::Command {
    let mut all = Arguments::command().max_term_width(100);
    all.build();
    for (name, shown) in [
        ("devices", &["adapter"][..]),
        ("runs", &[]),
        ("models", &[]),
        ("inspect", &[]),
        ("convert", &[]),
    ] {
        all = all.mut_subcommand(name, |command| {
            command.mut_args(|option| {
                let of_kernels = option.get_help_heading() == Some(args::KERNELS);
                let hidden = of_kernels && !shown.contains(&option.get_id().as_str());
                if hidden { option.hide(true) } else { option }
            })
        });
    }
    all
}

fn run(arguments: Arguments) -> ExitCode {
    let cache = cache::folder().filter(|_| !arguments.no_cache);
    let for_others = arguments.for_others();
    let session = Session::new(arguments.adapter, arguments.quiet)
        .telling_others(for_others)
        .keeping(cache)
        .tuning(arguments.tune.into())
        .transforming(arguments.transformed_weights)
        .computing(arguments.precision.map(Into::into))
        .filtering(arguments.winograd.into());
    let done = match arguments.command {
        _ if arguments.list => devices::run(&session, &args::Devices::default()),
        command => carry_out(&session, command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => session.failure(&error),
    }
}

fn carry_out(session: &Session, command: Option<Command>) -> anyhow::Result<()> {
    match command {
        Some(Command::Demo(args)) => demo::run(session, &args),
        Some(Command::Train(args)) => train::run(session, &args),
        Some(Command::Plan(args)) => plan::run(session, &args),
        Some(Command::Bench(args)) => bench::run(session, &args),
        Some(Command::Runs(args)) => runs::run(&args),
        Some(Command::PaperTable(args)) => paper_table::run(session, &args),
        Some(Command::Sample(args)) => sample::run(session, &args),
        Some(Command::Eval(args)) => match args.what {
            None => evaluate::run(session, &args.quick),
            Some(Evaluation::All(args)) => evaluate_all::run(session, &args),
            Some(Evaluation::Generation(args)) => generation::run(session, &args),
            Some(Evaluation::Sweep(args)) => generation::sweep(session, &args),
            Some(Evaluation::Features(args)) => generation::features(session, &args),
            Some(Evaluation::Counterfactuals(args)) => counterfactuals::run(session, &args),
        },
        Some(Command::Explain(args)) => explain::run(session, &args),
        Some(Command::Attack(args)) => attack::run(session, &args),
        Some(Command::Classify(args)) => classify::run(session, &args),
        Some(Command::Models(args)) => models::run(&args),
        Some(Command::Devices(args)) => devices::run(session, &args),
        Some(Command::Doctor(args)) => doctor::run(session, &args),
        Some(Command::Tune(args)) => tune::run(session, &args),
        Some(Command::Inspect(args)) => inspect::run(session, &args),
        Some(Command::Convert(args)) => convert::run(session, &args),
        None => print(&syntax().render_help().to_string()),
    }
}

/// A radius is the first option that is looked up: its short help fits on a line, and what it means in full is in the long one.
#[cfg(test)]
#[test]
fn short_helps_of_radii_fit_on_a_line() {
    fn all(command: &clap::Command) -> Vec<&clap::Command> {
        std::iter::once(command).chain(command.get_subcommands().flat_map(all)).collect()
    }
    let (syntax, mut seen) = (syntax(), 0);
    for option in all(&syntax).into_iter().flat_map(clap::Command::get_arguments) {
        if ["eps", "counterfactual_eps", "autoattack"].contains(&option.get_id().as_str()) {
            let short = option.get_help().unwrap().to_string();
            assert!(short.chars().count() <= 70, "{short}");
            assert!(option.get_long_help().unwrap().to_string().contains("for pixels in [0, 1]"));
            seen += 1;
        }
    }
    assert_eq!(seen, 7);
}
