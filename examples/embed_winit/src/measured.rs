//! Runs the window of this example as CI does: `embed-winit FRAMES PICTURE.png` draws FRAMES frames, writes the last as a PNG
//! file, prints how long the GPU work that lapidary added to each frame took, and ends.

use super::App;
use eframe::{egui, wgpu};
use std::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The app, or with arguments the app measured.
pub fn asked_for(app: App) -> Result<Box<dyn eframe::App>, Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => Ok(Box::new(app)),
        [frames, file] => {
            let (left, file) = (frames.parse()?, file.clone());
            Ok(Box::new(Measured { app, left, file, slices_ms: Vec::new() }))
        }
        _ => Err("no arguments, or a number of frames and a file".into()),
    }
}

struct Measured {
    app: App,
    left: u32,
    file: String,
    slices_ms: Vec<f64>,
}

impl eframe::App for Measured {
    fn ui(&mut self, ui: &mut egui::Ui, _: &mut eframe::Frame) {
        let working = self.left > 0 && !self.app.sampler.finished();
        let slice = self.app.frame(ui).expect("a device that is there");
        // Unlike an app this waits, so that the slice runs alone.
        let host = &self.app.host;
        let idle =
            || host.device.poll(wgpu::PollType::wait_indefinitely()).expect("work that ends");
        idle();
        let began = Instant::now();
        host.queue.submit([slice]);
        idle();
        if working {
            self.slices_ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
        self.left = self.left.wrapping_sub(1);
        if self.left == 0 {
            let (file, context) = (self.file.clone(), ui.ctx().clone());
            ui.ctx().request_screenshot(move |shot| {
                let [width, height] = shot.size.map(|side| side as u32);
                let kind = image::ColorType::Rgba8;
                image::save_buffer(file, shot.as_raw(), width, height, kind).expect("a picture");
                context.send_viewport_cmd(egui::ViewportCommand::Close);
            });
        }
    }

    fn on_exit(&mut self) {
        self.slices_ms.sort_by(f64::total_cmp);
        let (slices, budget) = (&self.slices_ms, self.app.budget_ms);
        let at = |percent: usize| slices.get(slices.len() * percent / 100).unwrap_or(&f64::NAN);
        let count = slices.len();
        println!(
            "slices {count}, budget {budget} ms, median {:.2} ms, 9 in 10 {:.2} ms",
            at(50),
            at(90)
        );
    }
}
