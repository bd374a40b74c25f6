//! Tests interrupted and resumed evaluations: they give the same result, and nothing is done twice.

use crate::{first, network};
use lapidary::Error;
use lapidary::eval::{AutoAttack, RobustAccuracy, State};
use lapidary::model::{DeviceWeights, Network};
use lapidary::ops::Norm;
use pollster::block_on;

const COUNT: usize = 16;

fn settings() -> AutoAttack {
    let standard = AutoAttack::standard(Norm::L2, 0.6);
    AutoAttack { steps: 10, targets: 2, queries: 60, batch: 8, seed: 5, ..standard }
}

/// Runs on until so many states were given, or in the middle of the batch after them; the states, and the result if the end
/// was reached.
fn run(
    (model, weights): &(Network, DeviceWeights),
    state: Option<State>,
    batches: usize,
    midway: bool,
) -> (Vec<State>, Option<RobustAccuracy>) {
    let mut states = Vec::new();
    let result = block_on(settings().run(model, weights, first(COUNT), 16, state, |at| {
        let full = states.len() >= batches;
        if full && midway {
            return Err(Error::Stopped);
        }
        states.extend(at.state.cloned());
        if states.len() >= batches && !midway { Err(Error::Stopped) } else { Ok(()) }
    }));
    match result {
        Err(Error::Stopped) => (states, None),
        result => (states, Some(result.unwrap())),
    }
}

/// Without what time tells.
fn timeless(result: &RobustAccuracy) -> RobustAccuracy {
    let mut result = RobustAccuracy { seconds: 0.0, busy_seconds: 0.0, ..result.clone() };
    result.attacks.iter_mut().for_each(|attack| attack.seconds = 0.0);
    result
}

#[test]
fn resumed_is_uninterrupted() {
    let net = network("demo");
    let (states, whole) = run(&net, None, usize::MAX, false);
    let whole = timeless(&whole.unwrap());
    assert!(whole.attacks.len() == 4 && whole.robust_accuracy > 0.1, "{:?}", whole.attacks);
    assert!(whole.attacks.iter().any(|attack| attack.broken > 0));
    let batches = states.len();
    assert!(batches >= 6, "{batches}");
    for (stop, midway) in [(1, true), (batches / 2, false), (batches - 2, true)] {
        let (before, none) = run(&net, None, stop, midway);
        assert!(none.is_none() && before.len() == stop);
        let kept = before.last().map(|state| State::from_json(&state.to_json()).unwrap());
        assert_eq!(kept.as_ref(), before.last());
        let (after, result) = run(&net, kept, usize::MAX, false);
        assert_eq!(timeless(&result.unwrap()), whole, "stopped after {stop}");
        assert_eq!(stop + after.len(), batches, "no batch twice");
    }
    // What is finished is not begun again.
    let (more, again) = run(&net, states.last().cloned(), usize::MAX, false);
    assert!(more.is_empty());
    assert_eq!(timeless(&again.unwrap()), whole);
}

#[test]
fn states_of_other_evaluations_are_refused() {
    let (model, weights) = network("demo");
    let (states, _) = run(&(model.clone(), weights.clone()), None, 1, false);
    let state = &states[0];
    let refused = |settings: AutoAttack, weights: &DeviceWeights, count: usize| {
        let set = first(count);
        let run = settings.run(&model, weights, set, 16, Some(state.clone()), |_| Ok(()));
        block_on(run).unwrap_err().to_string()
    };
    let said = refused(AutoAttack { eps: 0.5, ..settings() }, &weights, COUNT);
    assert!(said.contains("attack state") && said.contains("eps 0.5"), "{said}");
    assert!(refused(AutoAttack { seed: 6, ..settings() }, &weights, COUNT).contains("seed"));
    assert!(refused(settings(), &network("plain").1, COUNT).contains("weights"));
    assert!(refused(settings(), &weights, COUNT - 1).contains("images"));
    let json = state.to_json();
    for (damaged, part) in [
        ("{".to_owned(), "JSON"),
        ("{}".to_owned(), "format"),
        (json.replace("robust\"", "sturdy\""), "changed or damaged"),
        (json.replace("\"standing\"", "\"sitting\""), "changed or damaged"),
    ] {
        let said = State::from_json(&damaged).unwrap_err().to_string();
        assert!(said.contains(part), "{said}");
    }
}

/// Batches on two devices at once: every point as on one, stops are heeded, and no batch is lost or done twice.
#[test]
fn two_devices_do_as_one() {
    let (model, weights) = network("demo");
    let other = block_on(lapidary::gpu::Gpu::new(&lapidary::gpu::Options::from_env())).unwrap();
    let values = block_on(weights.download()).unwrap();
    let parameters = model.parameters();
    let there = block_on(DeviceWeights::upload(&other, &parameters, &values)).unwrap();
    let both = [weights.clone(), there];
    let settings = settings();
    let one = block_on(settings.run(&model, &weights, first(COUNT), 16, None, |_| Ok(())));
    let one = timeless(&one.unwrap());
    let at_once = |state: Option<State>, batches: usize| {
        let mut states = Vec::new();
        let run = settings.run_on(&model, &both, first(COUNT), 16, state, |at| {
            states.extend(at.state.cloned());
            if states.len() >= batches { Err(Error::Stopped) } else { Ok(()) }
        });
        let result = block_on(run);
        (states, result)
    };
    let (all, whole) = at_once(None, usize::MAX);
    assert_eq!(timeless(&whole.unwrap()), one);
    let (before, stopped) = at_once(None, 2);
    assert!(matches!(stopped, Err(Error::Stopped)));
    let (after, resumed) = at_once(before.last().cloned(), usize::MAX);
    assert_eq!(before.len() + after.len(), all.len());
    assert_eq!(timeless(&resumed.unwrap()), one);
}
