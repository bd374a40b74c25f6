//! Says where the steps of an attack cannot use the whole radius that it is given: what is measured then holds for a smaller one.

/// Returns a note where `steps` steps of length `step_size` from the start of an attack end inside the ball of radius `eps`.
/// `options` is what the names of the command's options for the steps begin with, such as `--pgd-`.
pub fn note(eps: f64, (steps, step_size): (u32, f64), options: &str) -> Option<String> {
    let reach = f64::from(steps) * step_size;
    // Steps that come to the radius but for rounding reach it.
    let short = eps.is_finite() && reach < eps * (1.0 - 1e-6);
    let [eps, step_size, reach] = [eps, step_size, reach].map(|number| number as f32);
    short.then(|| {
        format!(
            "note: from the image itself the steps ({options}steps {steps}, length {step_size}) move it by at most {reach}, less than the radius --eps {eps}: more {options}steps or a larger {options}step-size would reach it"
        )
    })
}

#[test]
fn steps_that_end_inside_the_ball_are_told() {
    let said = note(0.5, (5, 0.5 / 8.0), "--pgd-").unwrap();
    for words in ["--pgd-steps 5", "at most 0.3125,", "--eps 0.5:", "--pgd-step-size"] {
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(note(0.5, (8, 0.5 / 8.0), "--"), None);
    assert_eq!(note(0.7 + 1e-9, (10, 0.07), "--"), None, "rounding is no gap");
    assert_eq!(note(f64::INFINITY, (1, 0.1), "--"), None, "no ball");
}
