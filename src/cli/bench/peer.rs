//! Runs PyTorch or burn for `bench --compare`, in a process that stays alive and measures on request; benches/peers/README.md has
//! the protocol.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::cli::args;
use crate::gpu::AdapterKind;

const TORCH: &str = include_str!("../../../benches/peers/torch_peer.py");
/// The program that measures burn, as cargo builds it, from the repository's root.
const BURN: &str = "benches/peers/burn/target/release/lapidary-peer-burn";

/// A process of another library, such as PyTorch, that measures its own steps when asked.
pub struct Peer {
    pub name: &'static str,
    pub version: String,
    pub device: String,
    pub variants: Vec<String>,
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts the process of another library, ready to measure steps of a network. Err, in words on how to install it, if it
    /// cannot be started or ends.
    pub fn start(
        peer: args::Peer,
        args: &args::Bench,
        side: u32,
        adapter: AdapterKind,
    ) -> Result<Self, String> {
        let named = |given: &Option<PathBuf>, variable: &str| -> Option<OsString> {
            let given = given.clone().map(OsString::from);
            given.or_else(|| std::env::var_os(variable).filter(|path| !path.is_empty()))
        };
        let (name, mut command, kind, how) = match peer {
            args::Peer::Torch => {
                let own = PathBuf::from("target/peers/bin/python");
                let own = if own.exists() { own.into() } else { OsString::from("python3") };
                let python = named(&args.python, "LAPIDARY_PEERS").unwrap_or(own);
                let mut command = Command::new(&python);
                command.arg("-c").arg(TORCH);
                let kind = if adapter == AdapterKind::Cpu { "cpu" } else { "" };
                let how = "`pip install torch` into some Python, and name that Python by --python";
                ("torch", command, kind, how)
            }
            args::Peer::Burn => {
                let program = named(&args.burn, "LAPIDARY_BURN").unwrap_or_else(|| BURN.into());
                let kind = match adapter {
                    AdapterKind::Cpu => "cpu",
                    AdapterKind::Discrete => "discrete",
                    AdapterKind::Integrated => "integrated",
                    AdapterKind::Virtual => "virtual",
                    AdapterKind::Other => "default",
                };
                let how = "`cargo build --release --manifest-path benches/peers/burn/Cargo.toml`, and name the program by \
                           --burn if it lies elsewhere";
                ("burn", Command::new(program), kind, how)
            }
        };
        command.args([&args.model, &args.batch.to_string(), &side.to_string()]);
        if !kind.is_empty() {
            command.args(["--device", kind]);
        }
        let program = command.get_program().display().to_string();
        let refused = |why: String| format!("{name}: {program}: {why}; to install it: {how}");
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| refused(error.to_string()))?;
        let (Some(asks), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(refused("the program's input and output cannot be connected".into()));
        };
        let answers = BufReader::new(answers);
        let (version, device, variants) = Default::default();
        let mut peer = Self { name, version, device, variants, child, asks, answers };
        let hello = peer.answer().map_err(refused)?;
        let text =
            |key: &str| hello.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        (peer.version, peer.device) = (text("version"), text("device"));
        let variants = hello.get("variants").and_then(Value::as_array).into_iter().flatten();
        peer.variants = variants.filter_map(|name| Some(name.as_str()?.to_owned())).collect();
        Ok(peer)
    }

    /// Returns the milliseconds of one run of a task, and the seconds that the first took.
    pub fn time(&mut self, variant: &str, task: &str) -> Result<(f64, f64), String> {
        let told = self.ask(&format!("time {variant} {task}"))?;
        let number = |key: &str| told.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
        Ok((number("ms"), number("ready_seconds")))
    }

    /// Returns the most bytes of memory that the other library's process had on a CPU, or its tensors on a GPU; `None` if it does
    /// not say.
    pub fn memory(&mut self) -> Option<u64> {
        self.ask("memory").ok()?.get("bytes")?.as_u64()
    }

    fn ask(&mut self, what: &str) -> Result<Value, String> {
        let asked = writeln!(self.asks, "{what}").and_then(|()| self.asks.flush());
        asked.map_err(|error| error.to_string())?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|error| error.to_string())?;
        if line.is_empty() {
            return Err("the program ended without an answer".into());
        }
        let told: Value = serde_json::from_str(&line)
            .map_err(|_| format!("the program printed {:?} instead of JSON", line.trim()))?;
        match told.get("error").and_then(Value::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Ok(told),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It waits for questions and keeps nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
