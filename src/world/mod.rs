//! The processes that work on one run together. Each has a number, its rank, and drives one GPU. Without a launcher, and in
//! builds without the feature `mpi`, there is one process, and everything here costs nothing.
//!
//! All ranks make the same calls in the same order. All of them get the same results: those of [`World::sum`],
//! [`World::gather`] and [`World::broadcast`] have the same bits everywhere. A rank that dies ends all the others, with a
//! sentence that names it: nothing here waits for a dead process.

mod launcher;
#[cfg(feature = "mpi")]
mod messages;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(feature = "mpi")]
mod watch;

use crate::{Error, Result};
use std::hint;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use launcher::launched;

/// The processes that work on one run together, as one of them, a rank, sees them. A clone stands for the same processes.
#[derive(Clone, Debug)]
pub struct World {
    rank: usize,
    members: Arc<[Member]>,
    link: Link,
    state: Arc<State>,
}

/// Where one process (rank) of a run is: machine, place on it, process number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The name of the machine that the process runs on.
    pub host: String,
    /// The index of the process among the run's processes on its machine, from 0, by which it gets its adapter.
    pub local_rank: usize,
    /// The process id (PID) that the operating system gave.
    pub process: u32,
    /// The start time of the process in the system's ticks, where the system has it: process numbers are reused.
    began: u64,
}

/// The messages by which ranks report their progress.
#[derive(Debug, Default)]
struct State {
    /// The adapter of each rank.
    adapters: Mutex<Vec<String>>,
    /// The progress of this rank.
    reached: Mutex<String>,
}

#[derive(Clone, Debug)]
enum Link {
    One,
    #[cfg(feature = "mpi")]
    Mpi(Arc<mpi::Engine>),
}

impl World {
    /// Makes a world of this process alone.
    pub fn one() -> Self {
        let members = Arc::from([Member::this()]);
        Self { rank: 0, members, link: Link::One, state: Arc::default() }
    }

    /// Joins the processes that a launcher such as `mpirun` or `srun` has started; without a launcher this process is alone
    /// ([`World::one`]). `say` is called on one rank with the sentence that says why all of them end: MPI cannot go on when a
    /// rank has died.
    ///
    /// # Errors
    /// `World` where the launcher's variables tell of several processes and this one finds itself alone: each would do all
    /// of the work and write over the others' files.
    #[cfg_attr(not(feature = "mpi"), expect(unused_variables, reason = "one process says nothing"))]
    pub fn start(say: fn(&str)) -> Result<Self> {
        let launched = launched(|name| std::env::var(name).ok())?;
        let Some(launched) = launched else { return Ok(Self::one()) };
        #[cfg(not(feature = "mpi"))]
        return Err(Error::World(launched.without_mpi()));
        #[cfg(feature = "mpi")]
        {
            let state: Arc<State> = Arc::default();
            let (engine, rank, members) = mpi::Engine::start(say, state.clone())?;
            let world =
                Self { rank, members: members.into(), link: Link::Mpi(Arc::new(engine)), state };
            if world.size() == 1 {
                return Err(Error::World(launched.found_alone()));
            }
            Ok(world)
        }
    }

    /// Returns this process's rank, its number from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Returns the number of processes.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Returns whether this process is rank 0, which alone writes files and reports.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// Returns whether there are other processes.
    pub fn is_shared(&self) -> bool {
        self.size() > 1
    }

    /// Returns where all processes are, this one among them.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Returns the index of this process among those on its machine, and their number.
    pub fn local(&self) -> (usize, usize) {
        let this = self.members.get(self.rank);
        let here = this.map_or("", |member| &member.host);
        let count = self.members.iter().filter(|member| member.host == here).count();
        (this.map_or(0, |member| member.local_rank), count.max(1))
    }

    /// Returns which of `count` items are this process's share: shares are consecutive and differ by at most one item; earlier
    /// ranks have the larger ones.
    pub fn share(&self, count: usize) -> Range<usize> {
        share(count, self.rank, self.size())
    }

    /// Sums values over all processes, each value with those at the same place. Each sum is `((v0 + v1) + v2) + ...` in the order
    /// of ranks, in f32, so that the same number of processes gives the same bits every time. All processes give equally many
    /// values.
    ///
    /// # Errors
    /// `World` where the thread that talks to the others has ended.
    pub fn sum(&self, values: Vec<f32>) -> Result<Vec<f32>> {
        match &self.link {
            Link::One => Ok(values),
            #[cfg(feature = "mpi")]
            Link::Mpi(engine) => engine.sum(values),
        }
    }

    /// Exchanges bytes: every process gets the bytes of all, in the order of ranks.
    ///
    /// # Errors
    /// `World` where it is more than MPI carries at once, 2 GiB in all.
    pub fn gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        match &self.link {
            Link::One => Ok(vec![bytes]),
            #[cfg(feature = "mpi")]
            Link::Mpi(engine) => engine.gather(bytes),
        }
    }

    /// Collects the bytes of all processes in rank 0, in the order of ranks; the others get nothing. This is for data too large
    /// to send to all.
    ///
    /// # Errors
    /// `World` where one rank gives more than 2 GiB.
    pub fn collect(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        match &self.link {
            Link::One => Ok(vec![bytes]),
            #[cfg(feature = "mpi")]
            Link::Mpi(engine) => engine.collect(bytes),
        }
    }

    /// Sends rank 0's bytes to all processes; what the others give is ignored.
    ///
    /// # Errors
    /// `World` as of [`World::gather`].
    pub fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        match &self.link {
            Link::One => Ok(bytes),
            #[cfg(feature = "mpi")]
            Link::Mpi(engine) => engine.broadcast(bytes),
        }
    }

    /// Waits until all processes have called this.
    ///
    /// # Errors
    /// None in one process; as of [`World::gather`] in others.
    pub fn barrier(&self) -> Result<()> {
        self.gather(Vec::new()).map(drop)
    }

    /// Returns whether any of the processes passed `true`.
    ///
    /// # Errors
    /// The errors of [`World::gather`].
    pub fn any(&self, yes: bool) -> Result<bool> {
        if !self.is_shared() {
            return Ok(yes);
        }
        let all = self.gather(vec![u8::from(yes)])?;
        Ok(all.iter().flatten().any(|&each| each != 0))
    }

    /// Exchanges values: every process gets those of all processes, in the order of ranks, so that results for images that
    /// [`World::share`] divided among the processes come back in the images' order.
    ///
    /// # Errors
    /// The errors of [`World::gather`].
    pub fn joined<T: bytemuck::Pod>(&self, values: Vec<T>) -> Result<Vec<T>> {
        if !self.is_shared() {
            return Ok(values);
        }
        let all = self.gather(bytemuck::cast_slice(&values).to_vec())?;
        Ok(all.iter().flat_map(|part| bytemuck::pod_collect_to_vec::<u8, T>(part)).collect())
    }

    /// Tells the other processes this one's adapter, for their messages, and returns all adapters.
    ///
    /// # Errors
    /// The errors of [`World::gather`].
    pub fn introduce(&self, adapter: &str) -> Result<Vec<String>> {
        let all = self.gather(adapter.as_bytes().to_vec())?;
        let all: Vec<_> =
            all.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        self.state.adapters.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&all);
        Ok(all)
    }

    /// Returns a line about each process: where it runs, and on which adapter once it was [introduced](World::introduce).
    pub fn described(&self) -> Vec<String> {
        let adapters = self.state.adapters.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |(rank, member): (usize, &Member)| match adapters.get(rank) {
            Some(adapter) => format!("rank {rank}: {}, {adapter}", member.host),
            None => format!("rank {rank}: {}", member.host),
        };
        self.members.iter().enumerate().map(line).collect()
    }

    /// Sets how far this process is, for example `iteration 12 of stage1`, for messages in case it dies.
    pub fn reached(&self, what: String) {
        if self.is_shared() {
            *self.state.reached.lock().unwrap_or_else(PoisonError::into_inner) = what;
        }
    }

    /// Ends all processes with this exit code, because this one cannot go on; one of them prints `sentence`. With a single
    /// process it returns, and the caller ends the process.
    #[cfg_attr(not(feature = "mpi"), expect(unused_variables, reason = "one process ends itself"))]
    pub fn end(&self, code: u8, sentence: &str) {
        #[cfg(feature = "mpi")]
        if let Link::Mpi(engine) = &self.link {
            engine.end(code, sentence);
        }
    }

    /// Checks that `facts`, names and values such as the checksum of the data, are the same in all processes. Err with a sentence
    /// that names the first process whose facts differ from rank 0's, and the first difference. The version of the program is
    /// always compared too.
    ///
    /// # Errors
    /// `World` in all ranks where some differ.
    pub fn agree(&self, facts: &[(&str, String)]) -> Result<()> {
        if !self.is_shared() {
            return Ok(());
        }
        // As it lies in the program's file, where a test writes another one.
        let version = ("the program's version", hint::black_box(env!("CARGO_PKG_VERSION")));
        let facts = facts.iter().map(|(name, value)| (*name, value.as_str()));
        let facts = std::iter::once(version).chain(facts);
        let text: Vec<_> = facts.map(|(name, value)| format!("{name}\0{value}")).collect();
        let all = self.gather(text.join("\u{1}").into_bytes())?;
        let all: Vec<_> =
            all.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
        disagreement(&all, &self.members).map_or(Ok(()), |sentence| Err(Error::World(sentence)))
    }
}

/// The part of rank `rank` of `size`.
fn share(count: usize, rank: usize, size: usize) -> Range<usize> {
    let (each, rest) = (count / size.max(1), count % size.max(1));
    let first = |rank: usize| rank * each + rank.min(rest);
    first(rank)..first(rank + 1)
}

/// Describes the first difference between ranks' facts: `name \0 value` each, divided by `\x01`.
fn disagreement(all: &[String], members: &[Member]) -> Option<String> {
    let facts = |text: &str| -> Vec<(String, String)> {
        let pair = |fact: &str| {
            fact.split_once('\0').map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        text.split('\u{1}').filter_map(pair).collect()
    };
    let wanted = facts(all.first()?);
    for ((rank, text), member) in all.iter().enumerate().zip(members).skip(1) {
        let given = facts(text);
        let places = wanted.len().max(given.len());
        let none = (String::new(), "none".to_owned());
        for place in 0..places {
            let (of_first, of_this) =
                (wanted.get(place).unwrap_or(&none), given.get(place).unwrap_or(&none));
            if of_first != of_this {
                let name = if of_first.0.is_empty() { &of_this.0 } else { &of_first.0 };
                let host = &member.host;
                return Some(format!(
                    "rank {rank} on {host} differs from rank 0 in {name}: {} there, {} on rank 0; all ranks need the same",
                    of_this.1, of_first.1
                ));
            }
        }
    }
    None
}

impl Member {
    /// Describes this process; which one it is on its machine is found out with the others.
    fn this() -> Self {
        // A browser has no process numbers, and no other ranks to tell this one from.
        let process = if cfg!(target_arch = "wasm32") { 0 } else { std::process::id() };
        Self { host: host(), local_rank: 0, process, began: began(process).unwrap_or(0) }
    }
}

/// Returns the machine's name.
fn host() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let named = named.or_else(|| std::env::var("COMPUTERNAME").ok());
    let named = named.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    if named.trim().is_empty() { "a host without a name".into() } else { named.trim().to_owned() }
}

/// Returns the start time of a process on this machine; `None` if it does not run any more, or the system does not say.
fn began(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in brackets, which may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X" | "x");
    // The twenty-second of all.
    if ended { None } else { fields.nth(18)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_is_a_world() {
        let world = World::one();
        assert_eq!((world.rank(), world.size(), world.local()), (0, 1, (0, 1)));
        assert!(world.is_first() && !world.is_shared());
        assert_eq!(world.sum(vec![1.0, -2.5]).unwrap(), [1.0, -2.5]);
        assert_eq!(world.gather(vec![7]).unwrap(), [[7]]);
        assert_eq!(world.broadcast(vec![1, 2]).unwrap(), [1, 2]);
        assert_eq!(world.share(5), 0..5);
        assert!(world.any(true).unwrap() && !world.any(false).unwrap());
        world.agree(&[("version", "1".into())]).unwrap();
        world.end(3, "nobody to end");
    }

    #[test]
    fn shares_are_all_items_in_their_order() {
        for count in [0, 1, 7, 8, 200] {
            for size in [1, 2, 3, 8, 9] {
                let all: Vec<_> = (0..size).flat_map(|rank| share(count, rank, size)).collect();
                assert_eq!(all, (0..count).collect::<Vec<_>>());
                let lengths = (0..size).map(|rank| share(count, rank, size).len());
                assert!(lengths.clone().max().unwrap() - lengths.min().unwrap() <= 1);
            }
        }
    }

    #[test]
    fn the_first_difference_is_named() {
        let members: Vec<_> =
            ["a", "b", "c"].map(|host| Member { host: host.into(), ..Member::default() }).into();
        let facts = |version: &str, seed: &str| format!("version\0{version}\u{1}seed\0{seed}");
        let same = vec![facts("1", "2"); 3];
        assert_eq!(disagreement(&same, &members), None);
        let mut other = same.clone();
        other[2] = facts("1", "3");
        let sentence = disagreement(&other, &members).unwrap();
        assert!(sentence.contains("rank 2 on c differs from rank 0 in seed: 3 there, 2 on rank 0"));
        other[1] = "version\u{0}1".into();
        assert!(disagreement(&other, &members).unwrap().contains("rank 1 on b"));
    }

    #[test]
    fn a_process_that_ended_has_no_beginning() {
        if !cfg!(target_os = "linux") {
            return;
        }
        assert_eq!(began(std::process::id()), began(std::process::id()));
        assert!(began(std::process::id()).is_some());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let id = child.id();
        // A child that nobody has waited for is still in the table, as a zombie.
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(began(id), None);
        child.wait().unwrap();
    }
}
