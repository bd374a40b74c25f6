//! The `lapidary` program; all of it is `lapidary::cli`.

fn main() -> std::process::ExitCode {
    lapidary::cli::main()
}
