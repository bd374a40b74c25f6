//! The one thread that calls MPI. It sends the other threads' messages one after the other, and keeps checking that the other
//! processes are alive: an MPI call that waits for a dead process would wait for ever, so no call here waits without checking.

use super::watch::{BEAT, LOOK, Watch};
use super::{Member, State};
use crate::{Error, Result, threads};
use ::mpi::Threading;
use ::mpi::request::{Request, Scope};
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{
    Communicator, CommunicatorCollectives, Destination, MatchedReceiveVec, Source,
};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle, sleep, yield_now};
use std::time::{Duration, Instant};

/// Bytes of messages that were sent and not taken yet: signs of life of every second.
const UNTAKEN: usize = 1 << 20;
/// The time that a failing rank waits for rank 0 to report the failure.
const MANNERS: Duration = Duration::from_secs(5);
/// The time that a rank that ends all ranks gives the others to hear it: three looks.
const HEARING: Duration = Duration::from_millis(300);
/// The time for which waiting polls without sleeping, so that quick answers are not delayed by a timer.
const AWAKE: Duration = Duration::from_micros(200);

/// The kinds of messages between the threads of different ranks.
const ALIVE: u8 = 0;
const FAILED: u8 = 1;
const ENDING: u8 = 2;

enum Ask {
    Sum(Vec<f32>),
    Gather(Vec<u8>),
    Collect(Vec<u8>),
    Broadcast(Vec<u8>),
    End(u8, String),
    Leave,
}

enum Answer {
    Sum(Result<Vec<f32>>),
    Gather(Result<Vec<Vec<u8>>>),
    Broadcast(Result<Vec<u8>>),
}

/// The state that other threads share with MPI's thread.
#[derive(Debug)]
pub(super) struct Engine {
    asks: Mutex<(Sender<Ask>, Receiver<Answer>)>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts MPI, once in a process; returns this rank's number and the members of the world.
    pub fn start(say: fn(&str), state: Arc<State>) -> Result<(Self, usize, Vec<Member>)> {
        let (asks, asked) = channel();
        let (answer, answers) = channel();
        let (ready, started) = channel();
        let work = move || run(say, state, &asked, &answer, &ready);
        let thread = Builder::new().name("mpi".into()).spawn(work);
        let thread = thread.map_err(|error| threads::none("talking to MPI", &error))?;
        let failed = || {
            Error::World(
            "MPI did not start, or this process has started it before: it can be started once only".into(),
        )
        };
        let (rank, members) = started.recv().map_err(|_| failed())?;
        Ok((Self { asks: Mutex::new((asks, answers)), thread: Some(thread) }, rank, members))
    }

    pub fn sum(&self, values: Vec<f32>) -> Result<Vec<f32>> {
        match self.ask(Ask::Sum(values))? {
            Answer::Sum(summed) => summed,
            _ => Err(other()),
        }
    }

    pub fn gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        match self.ask(Ask::Gather(bytes))? {
            Answer::Gather(all) => all,
            _ => Err(other()),
        }
    }

    pub fn collect(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        match self.ask(Ask::Collect(bytes))? {
            Answer::Gather(all) => all,
            _ => Err(other()),
        }
    }

    pub fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        match self.ask(Ask::Broadcast(bytes))? {
            Answer::Broadcast(bytes) => bytes,
            _ => Err(other()),
        }
    }

    /// Ends all processes of the run, this one included.
    pub fn end(&self, code: u8, sentence: &str) {
        drop(self.ask(Ask::End(code, sentence.to_owned())));
    }

    fn ask(&self, ask: Ask) -> Result<Answer> {
        let asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
        let (sender, answers) = &*asks;
        let gone = || {
            Error::World("the thread that talks to MPI has ended, so the other processes cannot be reached: the first error on stderr says why; the same command resumes from the last checkpoint".into())
        };
        sender.send(ask).map_err(|_| gone())?;
        answers.recv().map_err(|_| gone())
    }
}

fn other() -> Error {
    Error::bug("world", "MPI's thread gave the answer to another request")
}

impl Drop for Engine {
    /// Waits for the other ranks, as MPI ends for all at once.
    fn drop(&mut self) {
        let last = match std::thread::panicking() {
            true => Ask::End(1, "a thread panicked".into()),
            false => Ask::Leave,
        };
        let asks = self.asks.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Where the thread has ended there is nobody to tell.
        drop(asks.0.send(last));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

type Ready = (usize, Vec<Member>);

fn run(
    say: fn(&str),
    state: Arc<State>,
    asked: &Receiver<Ask>,
    answer: &Sender<Answer>,
    ready: &Sender<Ready>,
) {
    // This thread alone calls MPI, which is what "funneled" means.
    let Some((mut universe, _)) = ::mpi::initialize_with_threading(Threading::Funneled) else {
        return;
    };
    universe.set_buffer_size(UNTAKEN);
    let comm = universe.world();
    let signs = comm.duplicate();
    let (rank, size) = (comm.rank() as usize, comm.size() as usize);
    let mut talk = Talk::new(comm, signs, say, (rank, size));
    // Nobody can be watched before all are known.
    let Ok(members) = talk.gather(&talk.introduction()).map(|all| members(&all)) else { return };
    talk.watch = Some(Watch::new(rank, &members, state));
    if ready.send((rank, members)).is_err() {
        return;
    }
    loop {
        let answered = match asked.recv_timeout(LOOK) {
            Ok(Ask::Sum(values)) => answer.send(Answer::Sum(talk.sum(values))),
            Ok(Ask::Gather(bytes)) => answer.send(Answer::Gather(talk.gather(&bytes))),
            Ok(Ask::Collect(bytes)) => answer.send(Answer::Gather(talk.collect(bytes))),
            Ok(Ask::Broadcast(bytes)) => answer.send(Answer::Broadcast(talk.broadcast(bytes))),
            Ok(Ask::End(code, sentence)) => talk.fail(code, &sentence),
            Ok(Ask::Leave) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                talk.tick(Some(asked));
                Ok(())
            }
        };
        if answered.is_err() {
            break;
        }
    }
    talk.leave();
}

/// Decodes the descriptions of all ranks, in the order of ranks.
fn members(all: &[Vec<u8>]) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for text in all {
        let text = String::from_utf8_lossy(text);
        let mut words = text.splitn(3, ' ');
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        let (process, began) = (number() as u32, number());
        let host = words.next().unwrap_or_default().to_owned();
        let local_rank = members.iter().filter(|member| member.host == host).count();
        members.push(Member { host, local_rank, process, began });
    }
    members
}

/// The state of MPI's thread.
pub(super) struct Talk {
    pub(super) comm: SimpleCommunicator,
    /// The communicator for signs of life and failures, beside the one for work.
    signs: SimpleCommunicator,
    say: fn(&str),
    watch: Option<Watch>,
    pub(super) rank: usize,
    pub(super) size: usize,
    looked: Instant,
    told: Instant,
    /// In rank 0, another rank's failure, which waits a moment for rank 0's own: where all fail alike, the plain sentence
    /// is enough.
    failed: Option<(Instant, u8, String)>,
    /// Whether all ranks are about to end well.
    leaving: bool,
    /// Since when another rank ends them all, and what with.
    ending: Option<(Instant, u8)>,
}

impl Talk {
    fn new(
        comm: SimpleCommunicator,
        signs: SimpleCommunicator,
        say: fn(&str),
        (rank, size): (usize, usize),
    ) -> Self {
        let now = Instant::now();
        Self {
            comm,
            signs,
            say,
            watch: None,
            rank,
            size,
            looked: now,
            told: now,
            failed: None,
            leaving: false,
            ending: None,
        }
    }

    fn introduction(&self) -> Vec<u8> {
        let Member { host, process, began, .. } = Member::this();
        format!("{process} {began} {host}").into_bytes()
    }

    /// Waits for MPI to be done with a request, and looks after the others meanwhile.
    pub(super) fn finish<'a, D: ?Sized, S: Scope<'a>>(&mut self, mut request: Request<'a, D, S>) {
        let began = Instant::now();
        let mut nap = Duration::from_micros(20);
        loop {
            match request.test() {
                Ok(_) => return,
                Err(again) => request = again,
            }
            self.tick(None);
            // Where ranks share cores, whoever waits is in the way of those who work.
            if began.elapsed() < AWAKE {
                yield_now();
            } else {
                sleep(nap);
                nap = (nap * 2).min(Duration::from_millis(1));
            }
        }
    }

    /// All that is to be done now and then. `asked` is where this rank's own failure would come from.
    fn tick(&mut self, asked: Option<&Receiver<Ask>>) {
        let now = Instant::now();
        if self.looked + LOOK > now {
            return;
        }
        self.looked = now;
        while let Some(message) = self.signs.any_process().immediate_matched_probe() {
            let from = message.1.source_rank() as usize;
            let (bytes, _) = message.matched_receive_vec::<u8>();
            self.take(from, &bytes);
        }
        if let Some((since, code)) = self.ending {
            // Whoever said so kills this process in a moment, or died before it could.
            if since.elapsed() > MANNERS {
                self.comm.abort(code.into());
            }
            return;
        }
        if let Some((since, code, sentence)) = self.failed.clone() {
            if let Some(Ok(Ask::End(code, own))) = asked.map(Receiver::try_recv) {
                self.abort(code, &own);
            }
            if since.elapsed() > Duration::from_millis(500) {
                self.abort(code, &sentence);
            }
            return;
        }
        let Some(watch) = &mut self.watch else { return };
        let lost = watch.look();
        let here = watch.here();
        if let Some(sentence) = lost
            && !self.leaving
        {
            self.abort(1, &sentence);
        }
        if self.told + BEAT <= now {
            self.told = now;
            self.tell(ALIVE, 0, &here);
        }
    }

    /// Sends a message to rank 0, or from rank 0 to all.
    fn tell(&self, what: u8, code: u8, text: &str) {
        let bytes = [&[what, code], text.as_bytes()].concat();
        let to = if self.rank == 0 { 1..self.size } else { 0..1 };
        for rank in to {
            self.signs.process_at_rank(rank as i32).buffered_send(&bytes[..]);
        }
    }

    fn take(&mut self, from: usize, bytes: &[u8]) {
        let Some((&[what, code], text)) = bytes.split_first_chunk::<2>() else { return };
        let text = String::from_utf8_lossy(text).into_owned();
        match (what, &mut self.watch) {
            (FAILED, _) => _ = self.failed.get_or_insert((Instant::now(), code, text)),
            (ENDING, _) => _ = self.ending.get_or_insert((Instant::now(), code)),
            (_, Some(watch)) => watch.heard(from, text),
            (_, None) => {}
        }
    }

    /// This rank cannot go on.
    fn fail(&mut self, code: u8, sentence: &str) -> ! {
        if self.rank == 0 {
            self.abort(code, sentence);
        }
        let host = super::host();
        self.tell(FAILED, code, &format!("rank {} on {host}: {sentence}", self.rank));
        let began = Instant::now();
        while began.elapsed() < MANNERS {
            self.tick(None);
            sleep(Duration::from_millis(20));
        }
        self.abort(code, sentence)
    }

    /// Says why, and ends all ranks.
    fn abort(&self, code: u8, sentence: &str) -> ! {
        (self.say)(sentence);
        for rank in (0..self.size).filter(|&rank| rank != self.rank) {
            self.signs.process_at_rank(rank as i32).buffered_send(&[ENDING, code][..]);
        }
        sleep(HEARING);
        self.comm.abort(code.into())
    }

    /// Waits until all are here: a rank that is gone before has died, even if this one has nothing left to do. Then
    /// waits until all know that all are here, without looking, as whoever knows it may have ended well.
    fn leave(&mut self) {
        let all_here = self.comm.immediate_barrier();
        self.finish(all_here);
        self.leaving = true;
        let all_know = self.comm.immediate_barrier();
        self.finish(all_know);
    }
}
