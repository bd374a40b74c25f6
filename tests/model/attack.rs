//! Tests attacks: they agree with PyTorch's, keep images within the radius and in [0, 1], and allocate nothing inside the loop.

use crate::case::Case;
use crate::{gpu, gpu_for};
use lapidary::attack::{
    Attack, MomentumAttack, MomentumPgd, Objective, Pgd, PgdAttack, Start, Statistics,
};
use lapidary::gpu::Lowering;
use lapidary::model::{
    Activation, BatchSize, DeviceWeights, Network, Normalisation, WideResNet, initial,
};
use lapidary::ops::Norm;
use pollster::block_on;

fn norm(case: &Case) -> Norm {
    if case.text("norm") == "L2" { Norm::L2 } else { Norm::Linf }
}

fn pgd(name: &str, lowering: Lowering) {
    let Some(case) = Case::open(&format!("attacks/{name}")) else { return };
    let (model, checkpoint) = case.model();
    let objective = match case.text("target") {
        "joint" => Objective::Joint,
        "logsumexp" => Objective::LogSumExp,
        "ce" => Objective::CrossEntropy,
        "ce_targeted" => Objective::CrossEntropyTargeted,
        other => panic!("{other}"),
    };
    let descent = case.params["descent"].as_bool().unwrap_or(false);
    let sign = if descent { -1.0 } else { 1.0 };
    let settings = Pgd {
        norm: norm(&case),
        eps: case.number("eps"),
        step_size: sign * case.number("step_size"),
        steps: case.number("steps") as u32,
        objective,
        statistics: Statistics::Frozen,
    };
    block_on(async {
        let weights =
            DeviceWeights::upload(&gpu_for(lowering), &model.parameters(), &checkpoint.weights)
                .await
                .unwrap();
        let &[images, _, side, _] = case.shape("in.x") else { panic!() };
        let size = BatchSize { images: images as u32, side: side as u32 };
        let mut attack = PgdAttack::new(&model, &weights, size, settings).await.unwrap();
        let (x, start) = (case.get("in.x"), case.part("out.traj", 0));
        let labels = case.labels();
        let from = Some(start).filter(|start| *start != x);
        attack.start(&Start { from, ..Start::new(x, &labels) }).await.unwrap();
        for step in 0..settings.steps as usize {
            attack.run(1, |_| Ok(())).await.unwrap();
            case.check_part("out.traj", step + 1, &attack.images().await.unwrap());
            let objective = attack.objective().await.unwrap();
            let objective: Vec<_> = objective.iter().map(|value| sign * value).collect();
            case.check_part("out.objective", step, &objective);
        }
        assert_eq!(weights.download().await.unwrap(), checkpoint.weights);
    });
}

#[test]
fn pgd_trajectories_are_pytorchs() {
    for name in [
        "pgd_wrn10_1_L2_ce_eps0.5_t10",
        "pgd_wrn10_1_L2_ce_targeted_eps0.5_t5",
        "pgd_wrn10_1_L2_joint_eps0.5_t10",
        "pgd_wrn10_1_L2_joint_epsinf_t8",
        "pgd_wrn10_1_L2_logsumexp_eps0.5_t6",
        "pgd_wrn10_1_Linf_ce_eps0.031_t6",
        "pgd_wrn10_1_swish_L2_ce_eps0.5_t10",
        "pgd_wrn10_1_swish_L2_ce_random_start",
        "pgd_wrn10_1_swish_L2_joint_descent",
        "pgd_wrn10_1_swish_L2_joint_epsinf_t10",
        "pgd_wrn10_1_swish_L2_logsumexp_eps0.5_t10",
        "pgd_wrn10_1_swish_Linf_ce_random_start",
        "pgd_wrn10_2_L2_ce_eps0.5_t7",
        "pgd_wrn10_2_Linf_joint_eps0.031_t5",
    ] {
        pgd(name, Lowering::Full);
    }
}

fn momentum(name: &str, lowering: Lowering) {
    let Some(case) = Case::open(&format!("attacks/{name}")) else { return };
    let (model, checkpoint) = case.model();
    let settings = MomentumPgd {
        norm: norm(&case),
        eps: case.number("eps"),
        step_size: case.number("step_size"),
        steps: case.number("steps") as u32,
        momentum: case.number("momentum"),
        objective: Objective::CrossEntropy,
    };
    block_on(async {
        let weights =
            DeviceWeights::upload(&gpu_for(lowering), &model.parameters(), &checkpoint.weights)
                .await
                .unwrap();
        let &[images, _, side, _] = case.shape("in.x") else { panic!() };
        let size = BatchSize { images: images as u32, side: side as u32 };
        let mut attack = MomentumAttack::new(&model, &weights, size, settings).await.unwrap();
        // Twice: what the first attack left behind must not matter.
        for _ in 0..2 {
            let best = attack.attack(case.get("in.x"), &case.labels()).await.unwrap();
            case.check("out.x_adv", &best);
            case.check("out.best_ce", &attack.objective().await.unwrap());
        }
    });
}

#[test]
fn momentum_attacks_are_pytorchs() {
    for name in [
        "momentum_pgd_wrn10_1_L2",
        "momentum_pgd_wrn10_1_swish_L2",
        "momentum_pgd_wrn10_1_swish_Linf",
    ] {
        momentum(name, Lowering::Full);
    }
}

/// The attack of the first iteration; the rest of it is training's.
#[test]
fn attacks_in_training_mode_are_pytorchs() {
    let Some(case) = Case::open("train/at_wrn10_1_swish_plain_trainmode_L2") else { return };
    let (model, checkpoint) = case.model();
    let settings = Pgd {
        norm: norm(&case),
        eps: case.number("eps"),
        step_size: case.number("step"),
        steps: case.number("steps") as u32,
        objective: Objective::CrossEntropy,
        statistics: Statistics::Batch,
    };
    let labels: Vec<_> = case.get("in.it1.y").iter().map(|&label| label as u32).collect();
    block_on(async {
        let weights =
            DeviceWeights::upload(gpu(), &model.parameters(), &checkpoint.weights).await.unwrap();
        let size = BatchSize { images: 8, side: 32 };
        let mut attack = PgdAttack::new(&model, &weights, size, settings).await.unwrap();
        let found = attack.attack(case.get("in.it1.x"), &labels).await.unwrap();
        case.check("out.it1.adv_imgs", &found);
        let after = weights.download().await.unwrap();
        for (name, tensor) in after.iter() {
            let moved = *tensor != *checkpoint.weights.get(name).unwrap();
            assert_eq!(moved, name.contains("running_"), "{name}");
        }
    });
}

#[test]
fn graphs_as_built_climb_the_same_way() {
    pgd("pgd_wrn10_1_L2_ce_targeted_eps0.5_t5", Lowering::Plain);
    momentum("momentum_pgd_wrn10_1_swish_Linf", Lowering::Plain);
}

fn small() -> (Network, DeviceWeights) {
    let normalisation = Normalisation { mean: vec![0.3], std: vec![0.35] };
    let model = WideResNet::new(10, 1, 1, 10, Activation::Silu, Some(normalisation)).unwrap();
    let model = Network::from(model);
    let parameters = model.parameters();
    let weights = initial::initial(&parameters, 1);
    let weights = block_on(DeviceWeights::upload(gpu(), &parameters, &weights)).unwrap();
    (model, weights)
}

const SIZE: BatchSize = BatchSize { images: 6, side: 8 };

/// Six grey images of 8 by 8 pixels, a third of which lie on the box, and their labels.
fn batch() -> (Vec<f32>, Vec<u32>) {
    let pixel = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32;
    ((0..6 * 64).map(|i| (1.5 * pixel(i) - 0.25).clamp(0.0, 1.0)).collect(), vec![0, 1, 2, 3, 4, 9])
}

fn settings(norm: Norm, eps: f32, objective: Objective) -> Pgd {
    let step_size = eps.min(0.5) / 4.0;
    Pgd { norm, eps, step_size, steps: 12, objective, statistics: Statistics::Frozen }
}

#[test]
fn attacks_stay_in_ball_and_box_and_climb() {
    let (model, weights) = small();
    let (x, labels) = batch();
    for (norm, eps, objective) in [
        (Norm::L2, 0.5, Objective::CrossEntropy),
        (Norm::L2, f32::INFINITY, Objective::Joint),
        (Norm::Linf, 0.03, Objective::LogSumExp),
        (Norm::L2, 0.5, Objective::CrossEntropyTargeted),
    ] {
        block_on(async {
            let settings = settings(norm, eps, objective);
            let mut attack = PgdAttack::new(&model, &weights, SIZE, settings).await.unwrap();
            attack.start(&Start::new(&x, &labels)).await.unwrap();
            attack.run(0, |_| Ok(())).await.unwrap();
            assert_eq!(attack.images().await.unwrap(), x, "no step");
            attack.run(1, |_| Ok(())).await.unwrap();
            let before = attack.objective().await.unwrap();
            attack.run(settings.steps, |_| Ok(())).await.unwrap();
            let after = attack.objective().await.unwrap();
            assert!(before.iter().zip(&after).all(|(a, b)| b > a), "{before:?} {after:?}");
            let found = attack.images().await.unwrap();
            assert!(found.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
            for (found, x) in found.chunks(64).zip(x.chunks(64)) {
                let moves = found.iter().zip(x).map(|(a, b)| (a - b).abs());
                let length = match norm {
                    Norm::L2 => moves.map(|d| d * d).sum::<f32>().sqrt(),
                    Norm::Linf => moves.fold(0.0, f32::max),
                };
                assert!(length > 0.0 && length <= eps + 1e-6, "{length}");
            }
        });
    }
}

#[test]
fn fewer_images_than_a_batch_come_out_as_in_a_whole_one() {
    let (model, weights) = small();
    let (x, labels) = batch();
    for objective in [Objective::CrossEntropy, Objective::Joint] {
        block_on(async {
            let settings = settings(Norm::L2, 0.5, objective);
            let mut attack = PgdAttack::new(&model, &weights, SIZE, settings).await.unwrap();
            let whole = attack.attack(&x, &labels).await.unwrap();
            let part = attack.attack(&x[..4 * 64], &labels[..4]).await.unwrap();
            assert_eq!(part, whole[..4 * 64]);
            assert_ne!(part, x[..4 * 64]);
            assert_eq!(attack.objective().await.unwrap().len(), 4);
        });
    }
}

#[test]
fn other_numbers_of_images_are_refused() {
    let (model, weights) = small();
    let (x, labels) = batch();
    block_on(async {
        let settings = settings(Norm::L2, 0.5, Objective::Joint);
        let mut attack = PgdAttack::new(&model, &weights, SIZE, settings).await.unwrap();
        assert!(attack.start(&Start::new(&x[1..], &labels)).await.is_err());
        assert!(attack.start(&Start::new(&x, &labels[1..])).await.is_err());
        let stop = || lapidary::Error::bad_file("stop", "asked to");
        assert!(attack.run(50, |_| Err(stop())).await.is_err());
        let none = BatchSize { images: 0, ..SIZE };
        assert!(PgdAttack::new(&model, &weights, none, settings).await.is_err());
    });
}

/// Another device than the other tests', whose counts would mix.
#[test]
fn a_loop_makes_nothing_new() {
    use lapidary::gpu::{Gpu, Options};
    let (model, _) = small();
    let parameters = model.parameters();
    let (x, labels) = batch();
    block_on(async {
        let gpu = Gpu::new(&Options::from_env()).await.unwrap();
        let weights = DeviceWeights::upload(&gpu, &parameters, &initial::initial(&parameters, 1))
            .await
            .unwrap();
        let settings = settings(Norm::L2, 0.5, Objective::CrossEntropy);
        let mut attack = PgdAttack::new(&model, &weights, SIZE, settings).await.unwrap();
        attack.start(&Start::new(&x, &labels)).await.unwrap();
        // Learns its pace: loops that do not know it yet begin with short submissions.
        attack.run(10, |_| Ok(())).await.unwrap();
        gpu.wait().await.unwrap();
        let before = gpu.counts();
        let started = std::time::Instant::now();
        attack.run(50, |_| Ok(())).await.unwrap();
        gpu.wait().await.unwrap();
        // One is cut short at the end, and some more where the machine is busy with other tests and then is not.
        let most = started.elapsed().as_millis() as u64 / 100 + 4;
        let after = gpu.counts();
        assert!(after.submissions - before.submissions <= most, "{before:?} {after:?} {most}");
        assert_eq!(lapidary::gpu::Counts { submissions: before.submissions, ..after }, before);
    });
}
