#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail so"
)]

use super::chip::Rounds;
use super::compiled::Figures;
use super::estimate::Bound;
use super::*;
use crate::gpu::Precision;

fn estimate(chip: &Chip, model: &str, [images, side]: [u32; 2], what: Step) -> Estimate {
    let (network, _) = network(model).unwrap();
    let size = BatchSize { images, side };
    let plan = plan(&network, size, what, chip, &Preferences::default()).unwrap();
    Estimate::new(&plan, chip, &Compiled::of(&chip.compiled).unwrap())
}

/// 160 to 160 channels, 3x3, at 32x32, four images: 943,718,400 multiply-adds on 8 cores of 128 lanes at 1.278 GHz, whichever
/// way the layer is gone through. What the vendor calls 2.6 TFLOP/s is what the figures multiply to.
#[test]
fn floors_are_those_by_hand() {
    let chip = Chip::named("m1").unwrap();
    let made = estimate(&chip, "wrn-10-10", [4, 32], Step::Train);
    let adds = 4.0 * 160.0 * 160.0 * 9.0 * 1024.0;
    let ops = ["packed_conv2d", "packed_conv2d_input_gradient", "packed_weight_gradient"];
    for op in ops {
        let of = |layer: &&estimate::Layer| layer.op == op && layer.layer == "block1.layer.0.conv2";
        let layer = made.layers.iter().find(of).unwrap();
        assert_eq!(layer.multiply_adds, adds, "{op}");
        let wanted = adds / (8.0 * 1.278e9 * 128.0);
        assert!((layer.floor / wanted - 1.0).abs() < 1e-12, "{op}: {}", layer.floor);
        assert!(layer.seconds > layer.floor, "{op}");
    }
    // Beside those, adding two maps of this size is bound by memory: 12 bytes an element at 68.3 GB/s.
    let add = made.layers.iter().find(|layer| layer.bound == Bound::Memory).unwrap();
    assert!((add.seconds / (add.bytes as f64 / 68.3e9) - 1.0).abs() < 1e-12);
    for (name, chip) in Chip::all().unwrap() {
        let made = f64::from(chip.units * chip.multiply_adds) * chip.clock_ghz * 2e-3;
        assert!((made / chip.tflops - 1.0).abs() < 0.02, "{name}: {made} TFLOP/s");
    }
}

#[test]
fn more_bandwidth_is_never_slower() {
    let mut chip = Chip::named("rtx4090").unwrap();
    let before = estimate(&chip, "wrn-16-2", [32, 32], Step::Train);
    chip.gigabytes_per_second *= 2.0;
    let after = estimate(&chip, "wrn-16-2", [32, 32], Step::Train);
    for (a, b) in before.layers.iter().zip(&after.layers) {
        assert!(b.seconds <= a.seconds && b.floor <= a.floor, "{a:?} and {b:?}");
    }
    assert!(after.seconds() < before.seconds());
}

/// The network's share of multiply-adds is read where CI holds it, whatever it is there.
#[test]
fn shares_are_the_compilers() {
    let chip = Chip::named("rtx4090").unwrap();
    let all: serde_json::Value = serde_json::from_str(include_str!("compiled.json")).unwrap();
    let made = estimate(&chip, "wrn-16-2", [32, 32], Step::Pgd);
    let mut seen = 0;
    for layer in made.layers.iter().filter(|layer| layer.kernel == "conv2d_block") {
        let blocks = if layer.row.starts_with("block 32") { 4 } else { 8 };
        let kept = &all["ada"]["kernels"][format!("conv2d_block BLOCKS={blocks}")];
        let share = kept[2].as_f64().unwrap() / 1e4;
        assert!((layer.reached.unwrap() - share).abs() < 1e-12, "{layer:?}");
        seen += 1;
    }
    assert!(seen > 4, "{seen} layers of conv2d_block");
    assert!(made.alike.is_empty() && made.unknown.is_empty(), "{made:?}");
}

/// A workgroup of two subgroups keeps two of a multiprocessor's four schedulers busy.
#[test]
fn workgroups_fall_on_units_in_rounds() {
    let chip = Chip::named("h100").unwrap();
    // Occupancy 16; 64 invocations in subgroups of 32; 90 of 100 instructions.
    let figures = Figures::from([0, 16, 9000, 64, 32, 0]);
    let rounds = |groups| chip.rounds(&figures, groups);
    assert_eq!(rounds(264), Rounds { seats: 264, rounds: 1, idle: 1.0 });
    assert_eq!(rounds(265), Rounds { seats: 264, rounds: 2, idle: 528.0 / 265.0 });
    assert_eq!(rounds(1).idle, 264.0);
    // One that holds a single workgroup leaves half of its schedulers idle.
    let alone = Figures::from([0, 2, 9000, 64, 32, 0]);
    assert_eq!(chip.rounds(&alone, 132), Rounds { seats: 132, rounds: 1, idle: 2.0 });
    assert_eq!(chip.reached(&figures, false), Some(0.9));
    // Of a subgroup of 64 a multiply-add takes one clock, as two other instructions do: 10 of 100 take 20.
    let amd = Chip::named("rx7900xtx").unwrap();
    let wide = Figures::from([0, 8, 9000, 64, 64, 0]);
    let reached = amd.reached(&wide, false).unwrap();
    assert!((reached - 90.0 / 110.0).abs() < 1e-12, "{reached}");
    // Of 32 lanes it is two that are paired in one instruction.
    assert_eq!(amd.reached(&Figures::from([0, 16, 15_000, 64, 32, 0]), false), Some(0.75));
}

#[test]
fn every_chip_predicts_every_network() {
    let named = Network::names().into_iter().map(|name| (name, 64));
    for (model, side) in named.chain([("wrn-16-2".into(), 32), ("wrn-34-10".into(), 32)]) {
        let (network, _) = network(&model).unwrap();
        let size = BatchSize { images: 2, side };
        // Without half precision kernels are chosen by the kind of adapter alone.
        let plans = ["rtx4090", "m1"].map(|chip| {
            let chip = Chip::named(chip).unwrap();
            let plan = |what| plan(&network, size, what, &chip, &Preferences::default()).unwrap();
            (chip.adapter(Precision::Single).kind, [Step::Pgd, Step::Train].map(plan))
        });
        for (name, chip) in Chip::all().unwrap() {
            let kind = chip.adapter(Precision::Single).kind;
            let (_, steps) = plans.iter().find(|(of, _)| *of == kind).unwrap();
            for plan in steps {
                let made = Estimate::new(plan, &chip, &Compiled::of(&chip.compiled).unwrap());
                let [seconds, floor] = [made.seconds(), made.floor()];
                assert!(seconds.is_finite() && seconds >= floor && floor > 0.0, "{model}, {name}");
                let lost = made.lost();
                let told = lost.edges + lost.instructions + lost.workgroups;
                assert!(
                    told <= (seconds - floor) * 1.001 + 1e-3 * seconds,
                    "{model}, {name}: {lost:?}"
                );
            }
        }
    }
}

#[test]
fn a_chip_that_is_not_known_names_those_that_are() {
    let said = Chip::named("voodoo2").unwrap_err().to_string();
    assert!(said.contains("h100") && said.contains("m1") && said.contains("voodoo2"), "{said}");
    assert_eq!(Chip::named("RTX4090").unwrap().units, 128);
}
