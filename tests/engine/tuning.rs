//! Tests that autotuning chooses the fastest kernel among those whose results equal the plain kernel's, and stores the choice; a
//! kernel with wrong results is never chosen, and the reason is reported.

use crate::own_gpu;
use lapidary::gpu::{
    Access, Dropped, Gpu, Kernel, Layout, Preferences, Question, Recording, Trust, Tune,
    TuningEvent,
};
use lapidary::graph::{Candidate, Given, Graph, Launch, Op, Shape, Trial, Value, exactly, tune};
use lapidary::{Error, Result};
use pollster::block_on;
use std::sync::{Arc, Mutex};
use std::time::Duration;

static KERNEL: Kernel = Kernel {
    name: "test_rounds",
    source: &["struct Params { rounds: u32, fault: u32 }
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        let given = x[id.x];
        var v = given;
        for (var i = 0u; i < params.rounds; i++) { v = v * 0.5 + 0.25; }
        var result = select(v, 2 * given, v < 1e9);
        if params.fault == 1 && id.x % 32 == 31 { result = 2 * x[id.x - 1]; }
        if params.fault == 2 && abs(given) > 1000 { result = 3e38 * given; }
        if params.fault == 3 && abs(given) < 1e-5 { result = 0; }
        if params.fault == 4 { return; }
        y[id.x] = result;
    }"],
    params: Layout { size: 8, fields: &[("rounds", "u32", 0), ("fault", "u32", 4)] },
    bindings: &[("x", Access::Read), ("y", Access::Write)],
    subgroup: 0,
    trust: Trust::NONE,
};

static BROKEN: Kernel = Kernel {
    name: "test_broken",
    source: &["fn main() { y = ; }"],
    params: Layout { size: 8, fields: &[("rounds", "u32", 0), ("fault", "u32", 4)] },
    bindings: &[("x", Access::Read), ("y", Access::Write)],
    subgroup: 0,
    trust: Trust::NONE,
};

/// Twice x, after so many rounds, and with a fault: 1 reads its neighbour at the right border, 2 overflows where x is large,
/// 3 takes what is tiny for nothing, 4 writes nothing, 5 does not compile.
#[derive(Clone, Debug)]
struct Rounds(u32, u32);

impl Op for Rounds {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        exactly::<_, 1>(self.name(), "inputs", inputs)?;
        Ok(inputs.to_vec())
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let count = launch.outputs[0].elements();
        let kernel = if self.1 == 5 { &BROKEN } else { &KERNEL };
        launch.all(kernel, [self.0, self.1], Recording::grid(count, 64))
    }
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Such candidates beside one another.
fn trial(family: &'static str, candidates: &[Rounds], default: usize) -> Trial {
    let mut graph = Graph::default();
    let x = graph.input(Shape::new(4, 4, 32, 32).unwrap());
    let mut push = |op: &Rounds| -> Vec<Value> { vec![graph.push(op.clone(), &[x]).unwrap()] };
    let plain = push(&Rounds(1, 0));
    let candidates: Vec<_> = candidates.iter().map(&mut push).collect();
    let question = Question::new(family, &[4, 32], &NAMES[..candidates.len()], default).unwrap();
    let candidate = |outputs| Candidate {
        outputs,
        bound: Candidate::SINGLE,
        choices: lapidary::gpu::Choices::default(),
    };
    Trial {
        question,
        inputs: vec![Given { value: x, changes: true }],
        plain,
        candidates: candidates.into_iter().map(candidate).collect(),
        graph,
    }
}

/// However busy the machine is, the time suffices.
const LONG: Duration = Duration::from_secs(600);

fn tuning(gpu: Gpu, tuning: Tune) -> Gpu {
    gpu.preferring(Preferences { tuning, tuning_budget: LONG, ..Preferences::default() })
}

/// A device that tunes, and what it says of it.
fn told() -> (Gpu, Arc<Mutex<Vec<TuningEvent>>>) {
    let gpu = tuning(own_gpu(), Tune::On);
    let events = Arc::new(Mutex::new(Vec::new()));
    let to = events.clone();
    gpu.on_tuning(move |event| to.lock().unwrap().push(event.clone()));
    (gpu, events)
}

fn measure(gpu: &Gpu, trials: &[Trial]) -> usize {
    block_on(tune(gpu, trials)).unwrap()
}

/// Returns the name of the kernel that was found for a trial.
fn answer(gpu: &Gpu, trial: &Trial) -> &'static str {
    NAMES[trial.question.answer(&gpu.choices())]
}

#[test]
fn the_fastest_is_taken_and_kept() {
    let (gpu, events) = told();
    // 4,800 rounds are many times 40 on whatever adapter, also where a launch waits for a busy core.
    let right = |rounds: &[u32]| rounds.iter().map(|&many| Rounds(many, 0)).collect::<Vec<_>>();
    let slow_default = trial("slow_default", &right(&[4_800, 40, 9_600]), 0);
    let fast_default = trial("fast_default", &right(&[4_800, 40]), 1);
    let trials = [slow_default, fast_default];
    assert_eq!(gpu.measured(), None);
    assert_eq!(measure(&gpu, &trials), 2);
    assert_eq!(trials.each_ref().map(|trial| answer(&gpu, trial)), ["b", "b"]);
    let keys: Vec<_> = gpu.choices().iter().map(|(key, _)| key.to_owned()).collect();
    assert_eq!(keys, ["fast_default 4x32", "slow_default 4x32"]);
    assert_eq!(events.lock().unwrap().last(), Some(&TuningEvent::Done { answered: 2, open: 0 }));

    // What was measured is not measured again, here or after the next start.
    let counts = gpu.counts();
    assert_eq!(measure(&gpu, &trials), 0);
    assert_eq!(gpu.counts(), counts);
    let table = gpu.measured().unwrap();
    let next = own_gpu();
    assert_eq!(next.keep_measured(table.as_bytes()).unwrap(), 2);
    assert_eq!(answer(&next, &trials[0]), "a", "without tuning, the static choice");
    let next = tuning(next, Tune::On);
    assert_eq!(next.choices(), gpu.choices());
    assert_eq!(next.measured().unwrap(), table, "what goes out comes back");
}

/// However fast a wrong kernel is, it is out, it is said once why, and the fastest right one is taken.
#[test]
fn a_wrong_kernel_never_wins() {
    for (fault, says) in [
        (1, "differs from the plain kernel"),
        (2, "where the plain kernel computes"),
        (3, "differs from the plain kernel"),
        (4, "where the plain kernel computes"),
        (5, "test_broken"),
    ] {
        let (gpu, events) = told();
        // The right ones compute for longer than a launch waits for a busy core, so that the wrong one is the fastest anywhere.
        let rounds = [Rounds(9_000, 0), Rounds(1, fault), Rounds(3_000, 0)];
        let trial = trial("faulty", &rounds, 0);
        assert_eq!(measure(&gpu, std::slice::from_ref(&trial)), 1);
        assert_eq!(answer(&gpu, &trial), "c", "fault {fault}");
        let dropped = gpu.dropped_candidates();
        let [Dropped { key, candidate, reason }] = &dropped[..] else { panic!("{dropped:?}") };
        assert_eq!((key.as_str(), candidate.as_str()), ("faulty 4x32", "b"));
        assert!(reason.contains(says), "fault {fault}: {reason}");
        let told = |events: &[TuningEvent]| {
            events.iter().filter(|event| matches!(event, TuningEvent::Dropped(_))).count()
        };
        assert_eq!(told(&events.lock().unwrap()), 1);
        // The next start knows it, and measures and says nothing.
        let (next, events) = self::told();
        next.keep_measured(gpu.measured().unwrap().as_bytes()).unwrap();
        assert_eq!(next.dropped_candidates(), dropped);
        assert_eq!(measure(&next, &[trial]), 0);
        assert_eq!(told(&events.lock().unwrap()), 0);
    }
}

/// The default kernel is compared with the plain kernel as well: on a device where it is wrong, a right one is taken.
#[test]
fn a_wrong_static_choice_is_left() {
    let (gpu, _) = told();
    let trial = trial("static", &[Rounds(1, 1), Rounds(4_800, 0)], 0);
    measure(&gpu, std::slice::from_ref(&trial));
    assert_eq!(answer(&gpu, &trial), "b");
    assert_eq!(gpu.dropped_candidates().len(), 1);
}

/// A lost device is no fault of a candidate's.
#[test]
fn a_lost_device_is_not_swallowed() {
    let (gpu, _) = told();
    let trial = trial("lost", &[Rounds(40, 0), Rounds(1, 0)], 0);
    let lost = gpu.clone();
    gpu.on_tuning(move |_| lost.notify_lost("the host says so"));
    let found = block_on(tune(&gpu, &[trial]));
    assert!(matches!(found, Err(Error::DeviceLost(_))), "{found:?}");
    assert!(gpu.dropped_candidates().is_empty() && gpu.choices().iter().next().is_none());
}

/// A shape that there is no time to measure keeps the default kernel and stays open.
#[test]
fn the_time_is_bounded() {
    let (gpu, events) = told();
    let none = Preferences { tuning_budget: Duration::ZERO, ..gpu.preferences().as_ref().clone() };
    let gpu = gpu.preferring(none);
    let trials = ["first", "second"].map(|name| trial(name, &[Rounds(4_800, 0), Rounds(1, 0)], 0));
    assert_eq!(measure(&gpu, &trials), 0);
    assert_eq!(trials.each_ref().map(|trial| answer(&gpu, trial)), ["a", "a"]);
    assert_eq!(events.lock().unwrap()[..], [TuningEvent::Done { answered: 0, open: 2 }]);
    assert_eq!(gpu.measured(), None);
    assert_eq!(measure(&tuning(gpu, Tune::On), &trials), 2);
}

/// Only a whole table of this device, driver and version is taken.
#[test]
fn damaged_and_foreign_tables_are_refused() {
    let (gpu, _) = told();
    measure(&gpu, &[trial("kept", &[Rounds(4_800, 0), Rounds(1, 0), Rounds(1, 1)], 0)]);
    let table = gpu.measured().unwrap();
    let table = table.trim_end();
    let other = tuning(own_gpu(), Tune::On);
    let refused = |table: &[u8]| other.keep_measured(table).unwrap_err().to_string();
    for at in (0..table.len()).step_by(7).chain([0, table.len() - 3]) {
        let mut damaged = table.as_bytes().to_vec();
        damaged[at] ^= 1;
        // A blank between values may be another.
        if !table.as_bytes()[at].is_ascii_whitespace() {
            assert!(refused(&damaged).contains("a table"), "byte {at}");
        }
        assert!(refused(&table.as_bytes()[..at]).contains("damaged"), "{at} bytes");
    }
    assert_eq!(other.choices().iter().count(), 0);
    // The bytes of a foreign one are sound: a static table is, with its sum, and is no device's.
    let fixed = own_gpu().choices_in_use();
    assert_eq!(other.keep_measured(fixed.as_bytes()).unwrap(), 0);
    assert_eq!(other.keep_measured(table.as_bytes()).unwrap(), 1);
}

/// The kernels that a run was made with go before measured ones, also where nothing is measured. After a run with default
/// kernels nothing is measured.
#[test]
fn a_run_goes_on_with_its_choices() {
    use lapidary::lower::Program;
    let (first, _) = told();
    let static_run = own_gpu().choices_in_use();
    let trial = trial("pinned", &[Rounds(4_800, 0), Rounds(1, 0)], 0);
    measure(&first, std::slice::from_ref(&trial));
    assert_eq!(answer(&first, &trial), "b");
    let table = first.measured().unwrap();

    let auto = tuning(own_gpu(), Tune::Auto);
    auto.pin_choices(table.as_bytes()).unwrap();
    assert_eq!(answer(&auto, &trial), "b");
    let off = tuning(auto.clone(), Tune::Off);
    assert_eq!(answer(&off, &trial), "a", "unless that is not wanted");

    let on = tuning(own_gpu(), Tune::On);
    on.keep_measured(table.as_bytes()).unwrap();
    on.pin_choices(static_run.as_bytes()).unwrap();
    assert!(!on.measures());
    assert_eq!(answer(&on, &trial), "a");
    assert_eq!(on.choices_in_use(), static_run);

    // Programs note what they take, be it measured or static.
    let mut graph = Graph::default();
    let x = graph.input(Shape::new(1, 8, 8, 8).unwrap());
    let w = graph.input(Shape::new(8, 8, 3, 3).unwrap());
    let y = graph.push(lapidary::ops::Conv2d::square(1, 1), &[x, w]).unwrap();
    block_on(Program::new(&first, &graph, &[y], &[x], &[])).unwrap();
    let used = first.choices_in_use();
    let resumed = tuning(own_gpu(), Tune::On);
    assert!(resumed.pin_choices(used.as_bytes()).unwrap() > 0, "{used}");
    let counts = resumed.counts().submissions;
    block_on(Program::new(&resumed, &graph, &[y], &[x], &[])).unwrap();
    assert_eq!(resumed.counts().submissions, counts, "nothing is measured again");
    assert_eq!(resumed.choices_in_use(), used);
}

#[test]
fn a_choice_is_among_at_most_sixteen() {
    let names = ["a"; 17];
    for (names, default) in [(&names[..], 1), (&names[..2], 2), (&[], 0)] {
        let made = Question::new("none", &[1], names, default);
        assert!(matches!(made, Err(Error::Mismatch { .. })), "{made:?}");
    }
}
