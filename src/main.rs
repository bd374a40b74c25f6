//! The `lapidary` program, which calls `lapidary::cli`.

fn main() -> std::process::ExitCode {
    lapidary::cli::main()
}
