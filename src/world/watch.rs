//! Watches whether the other processes (ranks) of a run are alive, and composes the error message when one is not. Ranks on the
//! same machine are looked up in its process table, ten times a second; rank 0 and the ranks on other machines send each other a
//! message every second.

use super::{Member, State, began};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// The interval at which ranks are checked and their messages read.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// The interval at which ranks are told that this one is alive.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// A rank that was not heard of for so long is dead: a busy machine may be late, but not by this much.
const SILENCE: Duration = Duration::from_secs(20);
/// The time that a rank waits for lower ranks to report a death first.
const MANNERS: Duration = Duration::from_secs(3);

/// The known state of each rank.
#[derive(Debug)]
pub(super) struct Watch {
    rank: usize,
    members: Vec<Member>,
    state: Arc<State>,
    heard: Vec<Instant>,
    reached: Vec<String>,
    /// Whether the rank was found in this machine's process table.
    seen: Vec<bool>,
    /// The rank that was found dead, and the time of the finding.
    dead: Option<(usize, Instant)>,
}

impl Watch {
    pub fn new(rank: usize, members: &[Member], state: Arc<State>) -> Self {
        let this = members.get(rank).map_or("", |member| &member.host);
        // A container may have a process table of its own.
        let seen = |member: &Member| {
            member.host == this && member.began > 0 && began(member.process) == Some(member.began)
        };
        Self {
            rank,
            members: members.to_vec(),
            state,
            heard: vec![Instant::now(); members.len()],
            reached: vec![String::new(); members.len()],
            seen: members.iter().map(seen).collect(),
            dead: None,
        }
    }

    /// Returns how far this process is.
    pub fn here(&self) -> String {
        self.state.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes how far another process is, as it said in a sign of life.
    pub fn heard(&mut self, rank: usize, reached: String) {
        if let (Some(when), Some(what)) = (self.heard.get_mut(rank), self.reached.get_mut(rank)) {
            (*when, *what) = (Instant::now(), reached);
        }
    }

    /// Returns the message about a process that died, once it is this process's turn to print it.
    pub fn look(&mut self) -> Option<String> {
        if self.dead.is_none() {
            let dead =
                (0..self.members.len()).find(|&rank| rank != self.rank && self.is_dead(rank));
            self.dead = dead.map(|rank| (rank, Instant::now()));
        }
        let (dead, since) = self.dead?;
        // The first that lives on this machine, as others may not know yet.
        let before = (0..self.rank).any(|rank| {
            rank != dead && self.seen.get(rank).copied().unwrap_or(false) && !self.is_dead(rank)
        });
        (!before || since.elapsed() > MANNERS).then(|| self.sentence(dead))
    }

    fn is_dead(&self, rank: usize) -> bool {
        let Some(member) = self.members.get(rank) else { return false };
        if self.seen.get(rank).copied().unwrap_or(false) {
            return began(member.process) != Some(member.began);
        }
        // All hear of rank 0 alone, and rank 0 of all.
        let listens = rank == 0 || self.rank == 0;
        listens && self.heard.get(rank).is_some_and(|heard| heard.elapsed() > SILENCE)
    }

    fn sentence(&self, dead: usize) -> String {
        let size = self.members.len();
        let Some(Member { host, process, .. }) = self.members.get(dead) else {
            return format!("rank {dead} of {size} died");
        };
        let adapters = self.state.adapters.lock().unwrap_or_else(PoisonError::into_inner);
        let adapter = adapters.get(dead).map_or("no adapter yet", String::as_str);
        let here = self.here();
        let reached = self.reached.get(dead).filter(|what| !what.is_empty()).unwrap_or(&here);
        let after = if reached.is_empty() { "before it began" } else { reached };
        format!(
            "rank {dead} of {size} died (host {host}, process {process}, {adapter}; {after}): all ranks end with it, and the same command resumes from the last checkpoint"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_gone_is_named() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let member = |process: u32, local_rank| Member {
            host: "here".into(),
            local_rank,
            process,
            began: began(process).unwrap_or(0),
        };
        let members = [member(std::process::id(), 0), member(child.id(), 1)];
        let state = Arc::new(State::default());
        *state.adapters.lock().unwrap() = vec!["first".into(), "an adapter".into()];
        let mut watch = Watch::new(0, &members, state);
        assert_eq!(watch.look(), None);
        watch.heard(1, "iteration 12 of stage1".into());
        child.kill().unwrap();
        child.wait().unwrap();
        let sentence = watch.look().unwrap();
        for part in ["rank 1 of 2 died", "host here", "an adapter", "iteration 12 of stage1"] {
            assert!(sentence.contains(part), "{sentence}");
        }
    }

    #[test]
    fn on_other_machines_silence_is_death() {
        let far = |host: &str| Member { host: host.into(), process: 1, ..Member::default() };
        let members = [far("a"), far("b"), far("c")];
        let mut watch = Watch::new(0, &members, Arc::default());
        assert_eq!(watch.look(), None);
        let long_ago = Instant::now().checked_sub(2 * SILENCE);
        let Some(long_ago) = long_ago else { return };
        watch.heard[2] = long_ago;
        assert!(watch.look().unwrap().contains("rank 2 of 3 died (host c"));
        let mut other = Watch::new(1, &members, Arc::default());
        other.heard[2] = long_ago;
        assert_eq!(other.look(), None, "rank 1 does not listen to rank 2");
    }
}
